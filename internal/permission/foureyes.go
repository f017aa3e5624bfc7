package permission

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"gitlab.com/slipway-ci/slipway/internal/gitlabapi"
)

// Who has to be a second person: whoever starts the job, or somebody who has approved the merge request.
const (
	Starter  = "starter"
	Approval = "approval"
)

// A Job is a job of GitLab's, as its predefined variables describe it, with a token that may read the API.
type Job struct {
	// API and GraphQL are URLs.
	API, GraphQL                       string
	ProjectID, ProjectPath, ID, Commit string
	Token                              string
}

// A user is a person as the REST API names them.
type user struct {
	ID       int64
	Username string
}

// A node is a user as the GraphQL API names them, with an id such as gid://gitlab/User/7.
type node struct{ ID, Username string }

// A mergeRequest has the people of a merge request. They are compared by their ids: the address in a commit is whatever its author has written.
type mergeRequest struct {
	Author                 node
	Committers, ApprovedBy struct{ Nodes []node }
}

const mergeRequestQuery = `query($path: ID!, $iid: String!) {
  project(fullPath: $path) { mergeRequest(iid: $iid) { author { id } committers { nodes { id } } approvedBy { nodes { id username } } } } }`

// FourEyes returns the names of the second persons: of those who started the job, or approved the merge request that brought its
// commit, who are not among the authors of that merge request. If there is none the error is a [Refusal].
func (j Job) FourEyes(ctx context.Context, who string) ([]string, error) {
	request, err := j.mergeRequest(ctx)
	if err != nil {
		return nil, err
	}
	people := request.ApprovedBy.Nodes
	refusal := &Refusal{"Nobody but its authors has approved the merge request", "let somebody else approve it, then start this job again"}
	if who == Starter {
		starter, err := j.starter(ctx)
		if err != nil {
			return nil, err
		}
		people = []node{starter}
		refusal = &Refusal{"The person who starts this job is an author of the change", "let somebody else start this job"}
	}
	var others []string
	for _, p := range people {
		if p.ID != request.Author.ID && !slices.ContainsFunc(request.Committers.Nodes, func(c node) bool { return c.ID == p.ID }) {
			others = append(others, p.Username)
		}
	}
	if len(others) == 0 {
		return nil, refusal
	}
	return others, nil
}

// mergeRequest returns the merge request that brought the job's commit.
func (j Job) mergeRequest(ctx context.Context) (*mergeRequest, error) {
	var brought []struct {
		IID   int64
		State string
	}
	if err := j.get(ctx, "repository/commits/"+url.PathEscape(j.Commit)+"/merge_requests", &brought); err != nil {
		return nil, err
	}
	for _, b := range brought {
		if b.State != "merged" {
			continue
		}
		body, err := json.Marshal(map[string]any{"query": mergeRequestQuery, "variables": map[string]string{"path": j.ProjectPath, "iid": fmt.Sprint(b.IID)}})
		if err != nil {
			return nil, err
		}
		var answer struct {
			Data struct {
				Project struct{ MergeRequest mergeRequest }
			}
		}
		if err := j.ask(ctx, http.MethodPost, j.GraphQL, body, &answer); err != nil {
			return nil, err
		}
		request := answer.Data.Project.MergeRequest
		if request.Author.ID == "" {
			return nil, noAnswer(fmt.Sprintf("it does not show the merge request !%d", b.IID))
		}
		return &request, nil
	}
	return nil, &Refusal{"No merged merge request brought this commit", "bring changes by merge requests only"}
}

// starter returns who has started the job. Its variables do not say so for certain, since whoever starts a job may set them.
func (j Job) starter(ctx context.Context) (node, error) {
	var job struct{ User user }
	if err := j.get(ctx, "jobs/"+url.PathEscape(j.ID), &job); err != nil {
		return node{}, err
	}
	if job.User.ID == 0 {
		return node{}, noAnswer("it does not say who started the job")
	}
	return node{fmt.Sprintf("gid://gitlab/User/%d", job.User.ID), job.User.Username}, nil
}

// get reads what is below the project in the REST API.
func (j Job) get(ctx context.Context, path string, answer any) error {
	return j.ask(ctx, http.MethodGet, j.API+"/projects/"+url.PathEscape(j.ProjectID)+"/"+path, nil, answer)
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 8 << 20

// ask sends a request and decodes the answer. Whatever is not an answer is a [Refusal], since it permits nothing.
func (j Job) ask(ctx context.Context, method, address string, body []byte, answer any) error {
	if j.Token == "" {
		return noAnswer("it is not set")
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := gitlabapi.Do(request, http.Header{"Private-Token": {j.Token}})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return noAnswer(err.Error())
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return noAnswer(fmt.Sprintf("%d %s for %s", response.StatusCode, http.StatusText(response.StatusCode), address))
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return noAnswer("not in JSON, for " + address)
	}
	return nil
}

func noAnswer(why string) *Refusal {
	return &Refusal{"GitLab's API does not answer with FOUR_EYES_TOKEN (" + why + ")", "give the project that variable, a token with read_api"}
}
