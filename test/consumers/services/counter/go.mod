module example.com/services/counter

go 1.26
