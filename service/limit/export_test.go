package limit

// MaxClients is how many clients a limiter remembers.
const MaxClients = maxClients

// Clients is how many clients the limiter remembers now.
func (l *Limiter) Clients() int { return l.recent.Len() }
