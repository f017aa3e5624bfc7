-- Every list that the API allows reads its page from an index, in order, and nothing else.
-- +goose Up
CREATE INDEX orders_by_time ON orders (created_at, id);
CREATE INDEX orders_by_status_and_time ON orders (status, created_at, id);
CREATE INDEX orders_by_customer_and_time ON orders (customer, created_at, id);
CREATE INDEX orders_by_customer_status_and_time ON orders (customer, status, created_at, id);
DROP INDEX orders_by_customer;
DROP INDEX orders_by_status;

-- +goose Down
CREATE INDEX orders_by_customer ON orders (customer, id);
CREATE INDEX orders_by_status ON orders (status, id);
DROP INDEX orders_by_time;
DROP INDEX orders_by_status_and_time;
DROP INDEX orders_by_customer_and_time;
DROP INDEX orders_by_customer_status_and_time;
