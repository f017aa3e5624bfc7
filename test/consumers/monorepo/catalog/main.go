// Command catalog is a service of the repository.
package main

import (
	"fmt"
	"io"
	"os"

	"example.com/monorepo/greeting"
)

func run(w io.Writer, args []string) error {
	name := "catalog"
	if len(args) > 0 {
		name = args[0]
	}
	_, err := fmt.Fprintln(w, greeting.Hello(name))
	return err
}

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		os.Exit(1)
	}
}
