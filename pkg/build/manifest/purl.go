package manifest

import (
	"path"
	"strings"

	packageurl "github.com/package-url/packageurl-go"
)

// PURL is the package URL of a Debian package: pkg:deb/debian/name@version
// with architecture and suite
// (https://github.com/package-url/purl-spec, types/deb-definition).
func (i Input) PURL() string {
	q := packageurl.Qualifiers{{Key: "arch", Value: i.Arch}}
	if i.Suite != "" {
		q = append(q, packageurl.Qualifier{Key: "distro", Value: i.Suite})
	}
	return packageurl.NewPackageURL(packageurl.TypeDebian, "debian", i.Name, i.Version, q, "").ToString()
}

// PURL is the package URL of a Go module: pkg:golang/path@version.
func (g GoModule) PURL() string {
	dir, name := path.Split(g.Path)
	return packageurl.NewPackageURL(packageurl.TypeGolang, strings.TrimSuffix(dir, "/"), name, g.Version, nil, "").ToString()
}
