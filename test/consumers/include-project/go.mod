module example.com/include-project

go 1.26
