package pipeline

import (
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/interpolation"
)

// Bounds of the jobs that `parallel` may create, far above what GitLab could run.
const (
	maxJobs         = 20_000
	maxDependencies = 1 << 20
)

// expandParallel creates the jobs of `parallel`; references of other jobs to one become references to each.
func (c *checker) expandParallel(jobs []*jobSpec) []*jobSpec {
	instances := make(map[string][]instance)
	for _, j := range jobs {
		if j.parallel != nil {
			instances[j.Name] = j.parallel.instances(j.Name)
		}
	}
	if len(instances) == 0 {
		return jobs
	}
	out := make([]*jobSpec, 0, len(jobs))
	place := make(map[string]int, len(jobs))
	add := func(j *jobSpec) {
		if i, ok := place[j.Name]; ok {
			out[i] = j // the same values twice in a matrix
			return
		}
		place[j.Name] = len(out)
		out = append(out, j)
	}
	dependencies := 0
	for _, j := range jobs {
		if len(out) > maxJobs || dependencies > maxDependencies {
			c.Fail(jobsPath.Child(j.BaseName), j.key, "", "parallel makes more than %d jobs, or %d needs of them", maxJobs, maxDependencies)
			return nil
		}
		if j.parallel == nil {
			j = c.normalize(j, instances)
			dependencies += len(j.needs.jobs) + len(j.Dependencies)
			add(j)
			continue
		}
		for _, i := range instances[j.Name] {
			one := *j
			one.Name, one.matrix = i.name, i.variables
			one.Parallel, one.Instance = i.total, i.number
			one.Variables = mergeVariables(j.Variables, i.variables)
			add(c.normalize(&one, instances))
			dependencies += len(one.needs.jobs) + len(one.Dependencies)
		}
	}
	return out
}

// normalize names parallel jobs one by one in the needs and dependencies of a job.
func (c *checker) normalize(j *jobSpec, instances map[string][]instance) *jobSpec {
	if j.Dependencies != nil {
		names := make([]string, 0, len(j.Dependencies))
		for _, d := range j.Dependencies {
			list, ok := instances[d]
			if !ok {
				names = append(names, d)
			}
			for _, i := range list {
				names = append(names, i.name)
			}
		}
		j.Dependencies = names
	}
	j.needs.jobs = c.expandNeeds(j, j.needs.jobs, instances)
	if j.matrix != nil {
		foreign := slices.Clone(j.needs.foreign)
		for i, n := range foreign {
			for _, text := range []*string{&foreign[i].Job, &foreign[i].Pipeline, &foreign[i].Project, &foreign[i].Ref} {
				*text = c.matrixText(j, n, *text)
			}
		}
		j.needs.foreign = foreign
	}
	return j
}

func (c *checker) expandNeeds(j *jobSpec, needs []needSpec, instances map[string][]instance) []needSpec {
	out := make([]needSpec, 0, len(needs))
	for _, n := range needs {
		n.Job = c.matrixText(j, n, n.Job)
		list, ok := instances[n.Job]
		if !ok {
			out = append(out, n)
			continue
		}
		if n.matrix != nil {
			list = c.interpolated(j, n).instances(n.Job)
		}
		for _, i := range list {
			one := n
			one.Job, one.matrix = i.name, nil
			out = append(out, one)
		}
	}
	return out
}

// interpolated puts a job's variables into the matrix of a need: $[[ matrix.OS ]].
func (c *checker) interpolated(j *jobSpec, n needSpec) *parallel {
	p := &parallel{number: n.matrix.number, matrix: make([][]axis, len(n.matrix.matrix))}
	for i, axes := range n.matrix.matrix {
		p.matrix[i] = make([]axis, len(axes))
		for k, a := range axes {
			values := make([]string, len(a.values))
			for v, text := range a.values {
				values[v] = c.matrixText(j, n, text)
			}
			p.matrix[i][k] = axis{a.name, values}
		}
	}
	return p
}

var matrixBlock = lazyregexp.New(`\$\[\[\s*matrix\.([a-zA-Z0-9_-]+)\s*\]\]`)

// matrixText puts a job's variables into a text of its needs. The needs of a job without a matrix stay as they are written.
func (c *checker) matrixText(j *jobSpec, n needSpec, text string) string {
	if j.matrix == nil || !strings.Contains(text, "$[[") {
		return text
	}
	for _, block := range matrixBlock().FindAllStringSubmatch(text, -1) {
		v := slices.IndexFunc(j.matrix, func(v Variable) bool { return v.Key == block[1] })
		if v < 0 {
			c.Fail(jobsPath.Child(j.BaseName).Child("needs"), n.node, "", "%s is not a variable of the matrix of %s", block[1], j.BaseName)
			continue
		}
		replaced, err := interpolation.ReplaceAll(text, block[0], j.matrix[v].Value)
		if err != nil {
			c.Fail(jobsPath.Child(j.BaseName).Child("needs"), n.node, "", "%s: %v", block[0], err)
			continue
		}
		text = replaced
	}
	return text
}
