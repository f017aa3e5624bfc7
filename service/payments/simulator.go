// Package payments implements order.Payments: a client of a payment provider, and a simulator.
package payments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// SimulatorLimit is the amount, in minor units, above which the simulator declines.
const SimulatorLimit = 1_000_000_00

// Simulator is a payment provider that moves no money. The same key yields the same payment, whose id is derived from it.
type Simulator struct{}

// Charge implements [order.Payments].
func (Simulator) Charge(ctx context.Context, c order.Charge) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if c.Amount > SimulatorLimit {
		return "", order.ErrDeclined
	}
	sum := sha256.Sum256([]byte(c.Key))
	return "sim_" + hex.EncodeToString(sum[:12]), nil
}
