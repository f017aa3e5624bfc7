module example.com/overrides

go 1.26
