module example.com/monorepo/greeting

go 1.26
