module example.com/services/greeter

go 1.26
