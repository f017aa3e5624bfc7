-- +goose Up
CREATE TABLE orders (
    id         uuid        PRIMARY KEY, -- of version 7: its order is the order of creation
    customer   text        NOT NULL,
    currency   text        NOT NULL,
    note       text        NOT NULL,
    items      jsonb       NOT NULL,
    total      bigint      NOT NULL,
    status     text        NOT NULL,
    payment_id text        NOT NULL,
    attempt    integer     NOT NULL,
    version    bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX orders_by_customer ON orders (customer, id);
CREATE INDEX orders_by_status ON orders (status, id);

CREATE TABLE idempotency_keys (
    client      text        NOT NULL,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    placed      jsonb       NOT NULL,   -- the order as it was placed
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (client, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE orders;
