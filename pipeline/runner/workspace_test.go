package runner

import (
	"path/filepath"
	"testing"
)

func TestWorkspaceName(t *testing.T) {
	t.Parallel()
	for project, want := range map[string]string{
		"/home/me/app": "app", "/home/me/My App_2.0": "My-App_2.0", "/home/me/größe 'x' $y": "gr--e--x---y",
	} {
		t.Run(project, func(t *testing.T) {
			if got := filepath.Base(openWorkspace("/cache", project).dir); got != want+"-"+shortHash(project) {
				t.Errorf("%s works in %s", project, got)
			}
		})
	}
}
