package httpapi

import (
	"context"
	"net/http"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/order"
)

const defaultLimit = 20

// handlers implements the operations of the contract.
type handlers struct {
	orders *order.Service
}

// CreateOrder implements the operation of this name.
func (h *handlers) CreateOrder(ctx context.Context, r api.CreateOrderRequestObject) (api.CreateOrderResponseObject, error) {
	key := ""
	if r.Params.IdempotencyKey != nil {
		key = *r.Params.IdempotencyKey
	}
	n := order.NewOrder{Customer: r.Body.Customer, Currency: r.Body.Currency, Items: itemsFrom(r.Body.Items)}
	if r.Body.Note != nil {
		n.Note = *r.Body.Note
	}
	o, replayed, err := h.orders.Create(ctx, n, clientOf(ctx).Name, key)
	if err != nil {
		return nil, err
	}
	headers := api.CreateOrder201ResponseHeaders{ETag: etagOf(o), Location: "/v1/orders/" + o.ID}
	if replayed {
		yes := "true"
		headers.IdempotencyReplayed = &yes
	}
	return api.CreateOrder201JSONResponse{Body: orderTo(o), Headers: headers}, nil
}

// GetOrder implements the operation of this name.
func (h *handlers) GetOrder(ctx context.Context, r api.GetOrderRequestObject) (api.GetOrderResponseObject, error) {
	o, err := h.orders.Get(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etagOf(o)
	if r.Params.IfNoneMatch != nil {
		// RFC 9110 defines no error for a malformed list: it matches nothing.
		if tags, ok := parseETags(*r.Params.IfNoneMatch); ok && tags.matchWeak(tag) {
			return api.GetOrder304Response{Headers: api.GetOrder304ResponseHeaders{ETag: tag}}, nil
		}
	}
	return api.GetOrder200JSONResponse{Body: orderTo(o), Headers: api.GetOrder200ResponseHeaders{ETag: tag}}, nil
}

// ListOrders implements the operation of this name.
func (h *handlers) ListOrders(ctx context.Context, r api.ListOrdersRequestObject) (api.ListOrdersResponseObject, error) {
	q := order.Query{Limit: defaultLimit}
	p := r.Params
	if p.Status != nil {
		q.Status = order.Status(*p.Status)
	}
	if p.Customer != nil {
		q.Customer = *p.Customer
	}
	if p.CreatedFrom != nil {
		q.CreatedFrom = p.CreatedFrom.UTC()
	}
	if p.CreatedBefore != nil {
		q.CreatedBefore = p.CreatedBefore.UTC()
	}
	if p.Limit != nil {
		q.Limit = *p.Limit
	}
	if p.Cursor != nil {
		after, ok := decodeCursor(*p.Cursor)
		if !ok {
			return nil, badParameter("cursor", "was not issued by this service")
		}
		q.After = after
	}
	orders, next, err := h.orders.List(ctx, q)
	if err != nil {
		return nil, err
	}
	page := api.OrderPage{Orders: make([]api.Order, len(orders))}
	for i, o := range orders {
		page.Orders[i] = orderTo(o)
	}
	if next.ID != "" {
		cursor := encodeCursor(next)
		page.Next = &cursor
	}
	return api.ListOrders200JSONResponse{Body: page}, nil
}

// UpdateOrder implements the operation of this name.
func (h *handlers) UpdateOrder(ctx context.Context, r api.UpdateOrderRequestObject) (api.UpdateOrderResponseObject, error) {
	if r.Params.IfMatch == nil {
		return nil, &problem{status: http.StatusPreconditionRequired,
			detail: "If-Match is required: send the ETag of the version to change."}
	}
	tags, ok := parseETags(*r.Params.IfMatch)
	if !ok {
		return nil, badParameter("If-Match", "must be a list of entity tags")
	}
	var p order.Patch
	if r.Body.Note.IsSpecified() {
		note, _ := r.Body.Note.Get() // null is ""
		p.Note = &note
	}
	if r.Body.Items != nil {
		items := itemsFrom(*r.Body.Items)
		p.Items = &items
	}
	o, err := h.orders.Change(ctx, r.Id, func(o order.Order) bool { return tags.match(etagOf(o)) }, p)
	if err != nil {
		return nil, preconditionFailed(err)
	}
	return api.UpdateOrder200JSONResponse{OrderJSONResponse: orderResponse(o)}, nil
}

// PayOrder implements the operation of this name.
func (h *handlers) PayOrder(ctx context.Context, r api.PayOrderRequestObject) (api.PayOrderResponseObject, error) {
	o, err := h.orders.Pay(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return api.PayOrder200JSONResponse{OrderJSONResponse: orderResponse(o)}, nil
}

// CancelOrder implements the operation of this name.
func (h *handlers) CancelOrder(ctx context.Context, r api.CancelOrderRequestObject) (api.CancelOrderResponseObject, error) {
	o, err := h.orders.Cancel(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return api.CancelOrder200JSONResponse{OrderJSONResponse: orderResponse(o)}, nil
}

func orderResponse(o order.Order) api.OrderJSONResponse {
	return api.OrderJSONResponse{Body: orderTo(o), Headers: api.OrderResponseHeaders{ETag: etagOf(o)}}
}

func orderTo(o order.Order) api.Order {
	a := api.Order{Id: o.ID, Customer: o.Customer, Currency: o.Currency, Note: o.Note, Items: make([]api.LineItem, len(o.Items)),
		Total: o.Total, Status: api.OrderStatus(o.Status), Version: o.Version, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt}
	for i, item := range o.Items {
		a.Items[i] = api.LineItem{Sku: item.SKU, Quantity: item.Quantity, UnitPrice: item.UnitPrice}
	}
	if o.PaymentID != "" {
		a.PaymentId = &o.PaymentID
	}
	return a
}

func itemsFrom(items []api.LineItem) []order.LineItem {
	out := make([]order.LineItem, len(items))
	for i, item := range items {
		out[i] = order.LineItem{SKU: item.Sku, Quantity: item.Quantity, UnitPrice: item.UnitPrice}
	}
	return out
}
