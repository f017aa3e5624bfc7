// Traefik's ACME client and the software development kits of 140 DNS providers are half of its compilation, and no certificate authority is in reach of
// the platform. This module has the names that Traefik refers to; whoever configures ACME gets an error.
module github.com/go-acme/lego/v4

go 1.27.0
