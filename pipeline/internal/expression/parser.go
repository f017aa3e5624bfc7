package expression

// Parse reads an expression. Errors are *[SyntaxError].
func Parse(s string) (*Expression, error) {
	tokens, err := tokenize(s)
	if err != nil {
		return nil, err
	}
	p := parser{end: len(s)}
	for _, t := range tokens {
		if err := p.take(t); err != nil {
			return nil, err
		}
	}
	for len(p.operators) > 0 {
		if err := p.reduce(); err != nil {
			return nil, err
		}
	}
	switch len(p.operands) {
	case 0:
		return nil, &SyntaxError{0, "the expression is empty"}
	case 1:
		// GitLab evaluates an expression once without variables to see whether it is valid.
		failed := false
		p.operands[0].eval(Scope{failed: &failed})
		if failed {
			return nil, &SyntaxError{0, "the right side of =~ or !~ is not a pattern"}
		}
		return &Expression{p.operands[0]}, nil
	}
	return nil, &SyntaxError{p.end, "an operator is missing between two values"}
}

// A parser is the shunting yard: operators wait until one that binds weaker, or the end, takes them.
type parser struct {
	operands  []node
	operators []token
	end       int
}

func (p *parser) take(t token) error {
	switch t.kind {
	case operand:
		p.operands = append(p.operands, t.node)
		return nil
	case opOpen, opNot:
		p.operators = append(p.operators, t)
		return nil
	case opClose:
		if err := p.reduceFor(t); err != nil {
			return err
		}
		if len(p.operators) == 0 {
			return &SyntaxError{t.offset, "a closing parenthesis without an opening one"}
		}
		p.operators = p.operators[:len(p.operators)-1]
		return nil
	default:
		if err := p.reduceFor(t); err != nil {
			return err
		}
		p.operators = append(p.operators, t)
		return nil
	}
}

// reduceFor applies the operators that bind at least as strong as t.
func (p *parser) reduceFor(t token) error {
	for len(p.operators) > 0 && precedence[t.kind] >= precedence[p.operators[len(p.operators)-1].kind] {
		if err := p.reduce(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) reduce() error {
	t := p.operators[len(p.operators)-1]
	p.operators = p.operators[:len(p.operators)-1]
	n := len(p.operands)
	switch {
	case t.kind == opOpen:
		return &SyntaxError{t.offset, "an opening parenthesis without a closing one"}
	case t.kind == opNot && n >= 1:
		p.operands[n-1] = not{p.operands[n-1]}
		return nil
	case t.kind != opNot && n >= 2:
		p.operands = append(p.operands[:n-2], binary{t.kind, p.operands[n-2], p.operands[n-1]})
		return nil
	}
	return &SyntaxError{t.offset, "an operator lacks a value"}
}
