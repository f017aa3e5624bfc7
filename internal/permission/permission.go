// Package permission decides in a job whether production may be touched: by the people who brought the change, and by the
// signatures of the image.
package permission

// A Refusal is why production may not be touched.
type Refusal struct{ What, Fix string }

func (r *Refusal) Error() string { return r.What + "; nothing has been touched" }
