package audit

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// style is the page's whole look: nothing is loaded from elsewhere.
const style = `body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1a1a1a;background:#fff}
h1{font-size:1.6em;margin:0}h2{font-size:1.15em;margin:1.8em 0 .5em;border-bottom:1px solid #ccc}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .8em .2em 0;vertical-align:top;border-bottom:1px solid #eee}
.fine,.ok{color:#11682d}.warning,.worn{color:#8a5a00}.failure,.failing,.failed{color:#a40000}.incomplete,.unknown{color:#5b3a8e}.info{color:#1f5c99}
.verdict{font-weight:700;text-transform:uppercase}.dim{color:#777}code{font-size:.92em}
.dimms{display:flex;flex-wrap:wrap;gap:.4em}.dimm{border:1px solid #888;border-radius:.3em;padding:.3em .5em;width:9.5em;font-size:.85em;background:#eef5ee}
.dimm.empty{background:#f5f5f5;color:#888;border-style:dashed}.dimm.bad{background:#fdeaea;border-color:#a40000}.dimm.warn{background:#fff6e0;border-color:#8a5a00}
ul.tree,ul.tree ul{list-style:none;margin:0;padding-left:1.3em;border-left:1px dotted #aaa}ul.tree{padding-left:0;border:0}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}td,th{border-color:#333}.dimm{background:#1d2a1f}.dimm.empty{background:#222}.dimm.bad{background:#3a1b1b}.dimm.warn{background:#38301a}
.fine,.ok{color:#6fcf8b}.warning,.worn{color:#e0b050}.failure,.failing,.failed{color:#ff7b7b}.info{color:#7db8f0}.incomplete,.unknown{color:#b99cf0}}
@media print{body{max-width:none;margin:0}}`

type page struct{ *bufio.Writer }

func (p page) f(format string, args ...any) {
	for i, a := range args {
		switch a.(type) {
		case int, int64, float64: // for %d and %.1f
		default:
			args[i] = html.EscapeString(fmt.Sprint(a))
		}
	}
	fmt.Fprintf(p.Writer, format, args...)
}

// writeHTML writes the report as one page that needs nothing else: no script,
// no font, no picture from elsewhere.
func writeHTML(w io.Writer, r *hwreport.Report) error {
	p := page{bufio.NewWriter(w)}
	b := &r.Board.Data
	name := strings.TrimSpace(b.System.Manufacturer.Or("") + " " + b.System.Product.Or("unknown machine"))
	p.f(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s</title><style>`, name)
	p.WriteString(style)
	p.f(`</style></head><body><h1>%s</h1><p>serial <code>%s</code>, uuid <code>%s</code><br>`, name, b.System.Serial, b.System.UUID)
	p.f(`<span class="verdict %s">%s</span> `, r.Verdict, r.Verdict)
	p.f(`<span class="dim">%s, in %d ms, schema %s</span></p>`, r.Started.Format("2006-01-02 15:04:05 MST"), r.Duration.Milliseconds(), r.Schema)
	p.findings(r)
	p.f(`<h2>Machine</h2><table>`)
	for _, line := range hwreport.Summary(r, 0) {
		label, rest, _ := strings.Cut(line, " ")
		if label == "verdict" {
			break
		}
		p.f(`<tr><th>%s</th><td>%s</td></tr>`, label, strings.TrimSpace(rest))
	}
	p.f(`</table>`)
	p.dimms(r)
	p.disks(r)
	p.gpus(r)
	p.pci(r)
	p.power(r)
	p.collectors(r)
	p.f("</body></html>\n")
	return p.Flush()
}

func (p page) findings(r *hwreport.Report) {
	p.f(`<h2>Findings</h2>`)
	if len(r.Findings) == 0 {
		p.f(`<p class="ok">none</p>`)
		return
	}
	p.f(`<table><tr><th>severity</th><th>what</th><th>evidence</th></tr>`)
	for _, f := range r.Findings {
		p.f(`<tr><td class="%s">%s</td><td>%s<br><code class="dim">%s</code></td><td>`, f.Severity, f.Severity, f.Message, f.ID)
		for _, e := range f.Evidence {
			p.f(`<code>%s</code> = <code>%s</code><br>`, e.Source, e.Value)
		}
		p.f(`</td></tr>`)
	}
	p.f(`</table>`)
}

// dimms draws the memory slots, grouped by what stands before their number: a
// processor or a channel.
func (p page) dimms(r *hwreport.Report) {
	list, ok := r.Memory.Data.Modules.Get()
	p.f(`<h2>Memory slots</h2>`)
	if !ok {
		p.f(`<p class="unknown">%s</p>`, r.Memory.Data.Modules.Reason())
		return
	}
	grave := map[string]string{}
	for _, f := range r.Findings {
		if f.Section == "memory" || f.Section == "ras" {
			switch {
			case f.Severity == hwreport.Failure:
				grave[f.Subject] = " bad"
			case grave[f.Subject] == "" && f.Severity == hwreport.Warning:
				grave[f.Subject] = " warn"
			}
		}
	}
	groups := map[string][]hwreport.DIMM{}
	for _, d := range list {
		g := d.Socket.Or("")
		groups[g] = append(groups[g], d)
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		if g != "" {
			p.f(`<p>%s</p>`, g)
		}
		p.f(`<div class="dimms">`)
		for _, d := range groups[g] {
			n, full := d.Bytes.Get()
			if !full {
				state := "empty"
				if d.Bytes.State() == hwreport.IsUnknown {
					state = "unknown"
				}
				p.f(`<div class="dimm empty"><b>%s</b><br>%s</div>`, d.Locator.Or(d.ID), state)
				continue
			}
			p.f(`<div class="dimm%s" title="%s"><b>%s</b><br>%s %s<br>%s of %s MT/s<br>%s</div>`, grave[d.ID], d.Serial, d.Locator.Or(d.ID), hwreport.Size(n), d.Type.Or(""), d.RunsMTs, d.SpeedMTs, d.Part.Or(""))
		}
		p.f(`</div>`)
	}
}

func (p page) disks(r *hwreport.Report) {
	list := r.Storage.Data.Disks.Or(nil)
	if len(list) == 0 {
		return
	}
	p.f(`<h2>Disks</h2><table><tr><th>disk</th><th>model</th><th>serial</th><th>size</th><th>verdict</th><th>°C</th><th>hours</th><th>used</th></tr>`)
	for _, d := range list {
		v := "unknown"
		if d.Verdict.State() == hwreport.IsAbsent {
			v = "-"
		} else if k, ok := d.Verdict.Get(); ok {
			v = string(k)
		}
		p.f(`<tr><td>%s<br><span class="dim">%s</span></td><td>%s %s</td><td><code>%s</code></td><td>%s</td>`, d.Name, d.Bay.Or(d.Slot), d.Vendor.Or(""), d.Model.Or(""), d.Serial, hwreport.Size(d.Bytes.Or(0)))
		p.f(`<td class="%s">%s<br>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>`, v, v, strings.Join(d.Reasons.Or(nil), "; "), d.Celsius, d.PowerOnHours, d.UsedPercent)
	}
	p.f(`</table>`)
}

// gpus shows those that compute.
func (p page) gpus(r *hwreport.Report) {
	first := true
	for _, d := range r.GPU.Data.Devices.Or(nil) {
		if !d.Computes() {
			continue
		}
		if first {
			p.f(`<h2>GPUs</h2><table><tr><th>GPU</th><th>model</th><th>serial, UUID</th><th>memory</th><th>PCIe</th><th>NVLinks</th><th>ECC errors</th><th>°C</th><th>W</th><th>state</th></tr>`)
			first = false
		}
		v, told := d.NVML.Get()
		state, class := "ok", "ok"
		switch {
		case !told && d.NVML.State() == hwreport.IsUnknown:
			state, class = d.NVML.Reason(), "unknown"
		case v.Error != "":
			state, class = v.Error, "failure"
		case !told:
			state = d.Driver.Or("no driver")
		}
		up, links := 0, v.NVLinks.Or(nil)
		for _, l := range links {
			if l.Up.Or(false) {
				up++
			}
		}
		watts := "?"
		if n, ok := v.Power.Draw.Get(); ok {
			watts = fmt.Sprintf("%d of %d", n/1000, v.Power.Enforced.Or(0)/1000)
		}
		p.f(`<tr><td>%s<br><span class="dim">%s</span></td><td>%s</td><td><code>%s</code><br><code class="dim">%s</code></td><td>%s</td>`, d.Address, d.Slot.Or(""), v.Model.Or(d.Model.Or("?")), v.Serial, d.UUID.Or(v.UUID.Or("?")), hwreport.Size(v.Memory.Total.Or(0)))
		p.f(`<td>gen %s ×%s of gen %s ×%s</td><td>%d of %d</td><td>%s corrected, %s not</td><td>%s</td><td>%s</td><td class="%s">%s</td></tr>`,
			v.Link.Generation, v.Link.Width, v.Link.MaxGeneration, v.Link.MaxWidth, up, len(links), v.ECC.Volatile.Corrected, v.ECC.Volatile.Uncorrected, v.Temperature.GPU, watts, class, state)
		for _, x := range d.XIDs.Or(nil) {
			p.f(`<tr><td></td><td colspan="9" class="%s">XID %d, %d times: %s. %s</td></tr>`, x.Severity, x.Number, x.Count, x.Meaning, x.Action)
		}
	}
	if !first {
		p.f(`</table>`)
	}
}

// pci draws the tree below each root.
func (p page) pci(r *hwreport.Report) {
	list, ok := r.PCIe.Data.Devices.Get()
	p.f(`<h2>PCIe</h2>`)
	if !ok {
		p.f(`<p class="unknown">%s</p>`, r.PCIe.Data.Devices)
		return
	}
	below := map[string][]hwreport.PCIDevice{}
	have := map[string]bool{}
	for _, d := range list {
		have[d.ID] = true
	}
	for _, d := range list {
		parent := d.Parent
		if !have[parent] {
			parent = ""
		}
		below[parent] = append(below[parent], d)
	}
	p.branch(below, "", ` class="tree"`, 0)
}

// maxDepth bounds the drawing: a tree that was captured may lie.
const maxDepth = 32

func (p page) branch(below map[string][]hwreport.PCIDevice, parent, class string, depth int) {
	if len(below[parent]) == 0 || depth > maxDepth {
		return
	}
	p.WriteString("<ul" + class + ">")
	for _, d := range below[parent] {
		p.f(`<li><code>%s</code> %s %s`, d.Address, d.VendorName.Or(d.Vendor.Or("?")), d.DeviceName.Or(d.Device.Or("?")))
		p.f(` <span class="dim">%s%s</span>`, d.ClassName.Or(""), slotText(d))
		if l, ok := d.Link.Get(); ok {
			state := "dim"
			if l.Downtrained {
				state = "warning"
			}
			p.f(` <span class="%s">%.1f GT/s ×%d of %.1f ×%d</span>`, state, float64(l.MTs)/1000, l.Width, float64(l.MaxMTs)/1000, l.MaxWidth)
		}
		if d.ID != "" && d.ID != parent {
			p.branch(below, d.ID, "", depth+1)
		}
		p.f(`</li>`)
	}
	p.f(`</ul>`)
}

func slotText(d hwreport.PCIDevice) string {
	s := ""
	if v, ok := d.Slot.Get(); ok {
		s += ", slot " + v
	}
	if v, ok := d.Driver.Get(); ok {
		s += ", " + v
	}
	return s
}

func (p page) power(r *hwreport.Report) {
	if list := r.PSU.Data.Supplies.Or(nil); len(list) > 0 {
		p.f(`<h2>Power supplies</h2><table><tr><th>where</th><th>model</th><th>serial</th><th>watts</th><th>now</th><th>state</th></tr>`)
		for _, s := range list {
			p.f(`<tr><td>%s</td><td>%s %s</td><td><code>%s</code></td><td>%s</td><td>%s</td><td>%s %s</td></tr>`, s.Location.Or(s.Name.Or("?")), s.Manufacturer.Or(""), s.Model.Or(""), s.Serial, s.MaxWatts, s.InputWatts, s.Status, strings.Join(s.States.Or(nil), ", "))
		}
		p.f(`</table>`)
	}
	if list := r.IPMI.Data.Sensors.Or(nil); len(list) > 0 {
		p.f(`<h2>Sensors</h2><table>`)
		for _, s := range list {
			if s.Value.State() == hwreport.IsValue {
				p.f(`<tr><td>%s</td><td>%s %s</td><td class="warning">%s</td></tr>`, s.Name, s.Value, s.Unit, strings.Join(s.Crossed.Or(nil), ", "))
			}
		}
		p.f(`</table>`)
	}
}

func (p page) collectors(r *hwreport.Report) {
	p.f(`<h2>Collectors</h2><table>`)
	for _, c := range r.Collectors() {
		class := "ok"
		if c.Status != hwreport.OK {
			class = "unknown"
		}
		p.f(`<tr><td>%s</td><td class="%s">%s</td><td>%d ms</td><td>%s</td></tr>`, c.Name, class, c.Status, c.Duration.Milliseconds(), c.Error)
	}
	p.f(`</table>`)
}
