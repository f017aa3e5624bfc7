// Command cacheprog is a minimal GOCACHEPROG: it stores Go's build cache in a folder.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
)

type request struct {
	ID                 int64
	Command            string
	ActionID, OutputID []byte
	BodySize           int64
}

type response struct {
	ID            int64
	KnownCommands []string `json:",omitempty"`
	Miss          bool     `json:",omitempty"`
	*entry
}

// An entry is the stored output of an action.
type entry struct {
	OutputID []byte
	Size     int64
	DiskPath string
}

func main() {
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// serve answers the go command until it closes the pipe.
func serve(dir string) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	if err := out.Encode(response{KnownCommands: []string{"get", "put", "close"}}); err != nil {
		return err
	}
	for {
		var r request
		if err := in.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		answer := response{ID: r.ID}
		action := filepath.Join(dir, "action-"+hex.EncodeToString(r.ActionID))
		switch r.Command {
		case "get":
			answer.entry = read(action)
			answer.Miss = answer.entry == nil
		case "put":
			var body []byte
			if r.BodySize > 0 {
				if err := in.Decode(&body); err != nil {
					return err
				}
			}
			e := &entry{r.OutputID, r.BodySize, filepath.Join(dir, "output-"+hex.EncodeToString(r.OutputID))}
			text, err := json.Marshal(e)
			if err := errors.Join(err, os.WriteFile(e.DiskPath, body, 0o600), os.WriteFile(action, text, 0o600)); err != nil {
				return err
			}
			answer.entry = e
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}

// read returns the stored output of an action, or nil.
func read(name string) *entry {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	e := &entry{}
	if json.Unmarshal(text, e) != nil {
		return nil
	}
	return e
}
