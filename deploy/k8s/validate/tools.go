//go:build tools

// Package tools names the commands that validate.py builds, so that go.mod and go.sum hold them to exact contents.
// Both are the newest versions that Debian 12's Go 1.19 builds.
package tools

import (
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
