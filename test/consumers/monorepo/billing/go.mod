module example.com/monorepo/billing

go 1.26

require example.com/monorepo/greeting v0.0.0

replace example.com/monorepo/greeting => ../greeting
