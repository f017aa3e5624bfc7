package pipeline

import (
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxParallel is how many jobs `parallel` may make.
const maxParallel = 200

// parallel is the keyword `parallel`: a number of equal jobs, or a matrix.
type parallel struct {
	number int
	matrix [][]axis
}

// An axis is a variable of a matrix with its values.
type axis struct {
	name   string
	values []string
}

func (c *checker) jobParallel(p *keyPath, n *node, j *jobSpec) {
	j.parallel = c.parallel(p, n, j.kind == buildJob)
}

// parallel validates the keyword; bridges and needs take no number.
func (c *checker) parallel(p *keyPath, n *node, numeric bool) *parallel {
	switch n.Kind {
	case yamltree.Int, yamltree.Float:
		count, ok := n.Integer()
		if !ok || count < 1 || count > maxParallel {
			c.Fail(p, n, "", "should be a number from 1 to %d, not %s", maxParallel, n.Text)
		}
		if !numeric {
			c.Fail(p, n, "", "should be a hash with matrix, not a number")
		}
		return &parallel{number: count}
	case yamltree.Mapping:
		c.AllowedKeys(p, n, "matrix")
		if c.RequiredKeys(p, n, "matrix") {
			return &parallel{matrix: c.matrix(p.Child("matrix"), n.Get("matrix"))}
		}
		return nil
	}
	c.Fail(p, n, "", "should be a number or a hash with matrix, not %s", yamltree.Describe(n))
	return nil
}

func (c *checker) matrix(p *keyPath, n *node) [][]axis {
	if n.IsNull() {
		return nil // GitLab makes no job of it
	}
	if n.Kind != yamltree.Sequence {
		c.Fail(p, n, "", "should be an array of hashes, not %s", yamltree.Describe(n))
		return nil
	}
	matrix := make([][]axis, 0, len(n.Items))
	total := 0
	for _, item := range n.Items {
		if item.Kind != yamltree.Mapping {
			c.Fail(p, item, "", "an entry should be a hash of variables, not %s", yamltree.Describe(item))
			continue
		}
		if len(item.Pairs) == 0 {
			c.Fail(p, item, "", "an entry needs at least one variable")
		}
		axes, jobs := make([]axis, 0, len(item.Pairs)), 1
		for _, pair := range item.Pairs {
			a := c.axis(p, pair)
			axes = append(axes, a)
			jobs = min(jobs*len(a.values), maxParallel+1)
		}
		matrix = append(matrix, axes)
		total = min(total+jobs, maxParallel+1)
	}
	if total > maxParallel {
		c.Fail(p, n, "", "makes more than %d jobs", maxParallel)
		return nil
	}
	return matrix
}

func (c *checker) axis(p *keyPath, pair yamltree.Pair) axis {
	a := axis{name: pair.Key.Text}
	if !check.IsTextOrInteger(pair.Key) {
		c.Fail(p, pair.Key, "", "%s is not a valid name of a variable", yamltree.Describe(pair.Key))
	}
	values := []*node{pair.Value}
	if pair.Value.Kind == yamltree.Sequence {
		values = pair.Value.Items
	}
	if pair.Value.IsBlank() {
		c.Fail(p, pair.Value, "", "%s has no values", a.name)
		return a
	}
	for _, v := range values {
		if !check.IsTextOrInteger(v) {
			c.Fail(p, v, "put it in quotes", "a value of %s should be a string or an integer, not %s", a.name, yamltree.Describe(v))
		}
		a.values = append(a.values, v.RubyText())
	}
	return a
}

// An instance is one of the jobs that `parallel` makes.
type instance struct {
	name      string
	variables []Variable
	number    int
	total     int
}

// instances returns the jobs that `parallel` creates from one.
func (p *parallel) instances(job string) []instance {
	var list []instance
	if p.number > 0 {
		for i := 1; i <= p.number; i++ {
			list = append(list, instance{name: fmt.Sprintf("%s %d/%d", job, i, p.number), number: i})
		}
	}
	for _, axes := range p.matrix {
		for _, variables := range combinations(axes) {
			values := make([]string, len(variables))
			for i, v := range variables {
				values[i] = v.Value
			}
			name := job + ": [" + strings.Join(values, ", ") + "]"
			list = append(list, instance{name: name, variables: variables, number: len(list) + 1})
		}
	}
	for i := range list {
		list[i].total = len(list)
	}
	return list
}

// combinations returns every choice of one value per axis; the last axis changes first.
func combinations(axes []axis) [][]Variable {
	out := [][]Variable{nil}
	for _, a := range axes {
		longer := make([][]Variable, 0, len(out)*len(a.values))
		for _, chosen := range out {
			for _, value := range a.values {
				longer = append(longer, append(chosen[:len(chosen):len(chosen)], Variable{Key: a.name, Value: value}))
			}
		}
		out = longer
	}
	return out
}
