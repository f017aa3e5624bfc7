-- Every list that the API allows reads its page from an index, in order, and nothing else. The indexes are built while
-- other instances write.
-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_time ON orders (created_at, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_status_and_time ON orders (status, created_at, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_customer_and_time ON orders (customer, created_at, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_customer_status_and_time ON orders (customer, status, created_at, id);
DROP INDEX CONCURRENTLY IF EXISTS orders_by_customer;
DROP INDEX CONCURRENTLY IF EXISTS orders_by_status;

-- +goose Down
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_customer ON orders (customer, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_status ON orders (status, id);
DROP INDEX CONCURRENTLY IF EXISTS orders_by_time;
DROP INDEX CONCURRENTLY IF EXISTS orders_by_status_and_time;
DROP INDEX CONCURRENTLY IF EXISTS orders_by_customer_and_time;
DROP INDEX CONCURRENTLY IF EXISTS orders_by_customer_status_and_time;
