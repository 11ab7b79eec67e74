package bench
import ("testing";"os";"regexp";"strings"; "github.com/bee-os/bee/pkg/build/sandbox";"path/filepath")
func TestHand(t *testing.T){
 s,err:=sandbox.Hand(t.Context(),"vm")
 if err!=nil{t.Fatal(err)}
 b,_:=os.ReadFile("/tmp/hB/group.peer")
 var trees []string
 for _,n:=range strings.Fields(string(b)) {trees=append(trees,"/tmp/hB/store/"+n)}
 f,_:=os.Create(filepath.Join("/tmp/hB","peer.img"))
 if err:=peerImage(f,trees,"/tmp/exp/k");err!=nil{t.Fatal(err)}
 st,_:=f.Stat(); t.Log(st.Size()); f.Close()
 k:="/tmp/exp/k/boot/vmlinuz-6.12.107+deb13-amd64"
 for range 5 {
 m,err:=boot(t.Context(),s,subject{name:"peer",kernel:k,initrd:f.Name(),append:os.Getenv("APP"),marks:marks{pid1:pid1Line,dhcp:regexp.MustCompile("peer: address")}})
 t.Logf("%+v %v",m,err)
 if err != nil {break}
 }
}
