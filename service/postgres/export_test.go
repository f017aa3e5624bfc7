package postgres

// ListQuery is the query of a list and its arguments.
var ListQuery = listQuery
