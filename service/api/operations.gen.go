// Code generated from openapi.yaml by internal/operations. DO NOT EDIT.

package api

// Operations describes the operations of the contract by their patterns in an [http.ServeMux].
var Operations = map[string]Operation{
	"GET /v1/orders":              {ID: "listOrders", Scopes: []string{"orders:read"}, Query: []string{"status", "customer", "created_from", "created_before", "limit", "cursor"}, Body: ""},
	"POST /v1/orders":             {ID: "createOrder", Scopes: []string{"orders:write"}, Query: []string(nil), Body: "application/json"},
	"GET /v1/orders/{id}":         {ID: "getOrder", Scopes: []string{"orders:read"}, Query: []string(nil), Body: ""},
	"PATCH /v1/orders/{id}":       {ID: "updateOrder", Scopes: []string{"orders:write"}, Query: []string(nil), Body: "application/merge-patch+json"},
	"POST /v1/orders/{id}/cancel": {ID: "cancelOrder", Scopes: []string{"orders:write"}, Query: []string(nil), Body: ""},
	"POST /v1/orders/{id}/pay":    {ID: "payOrder", Scopes: []string{"orders:pay"}, Query: []string(nil), Body: ""},
}
