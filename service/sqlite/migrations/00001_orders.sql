-- +goose Up
CREATE TABLE orders (
    id         TEXT    PRIMARY KEY, -- a UUID of version 7: its order is the order of creation
    customer   TEXT    NOT NULL,
    currency   TEXT    NOT NULL,
    note       TEXT    NOT NULL,
    items      TEXT    NOT NULL,    -- JSON
    total      INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    payment_id TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,    -- microseconds since 1970
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_by_customer ON orders (customer, id);
CREATE INDEX orders_by_status ON orders (status, id);

CREATE TABLE idempotency_keys (
    client      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    placed      TEXT    NOT NULL,   -- the order as it was placed, JSON
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE orders;
