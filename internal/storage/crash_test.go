package storage

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kozo"
)

// childDir names the directory in which this binary, started again, saves until
// it is killed.
const childDir = "KOZO_STORAGE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		saveForEver(dir)
	}
	os.Exit(m.Run())
}

// numbered is a value of which one can see whether it is whole.
type numbered struct {
	N    int
	Fill string
	End  int
}

func number(n int) numbered {
	return numbered{n, strings.Repeat(fmt.Sprint(n%10), n%7*1000), n}
}

// saveForEver saves one number after the other, and prints each when it is
// saved.
func saveForEver(dir string) {
	role := Open(dir).Role("r")
	var last numbered
	if err := role.Load(&last); err != nil && !errors.Is(err, kozo.ErrNoValue) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := last.N + 1; ; n++ {
		if err := role.Save(number(n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func TestKilledDuringASave(t *testing.T) {
	dir := t.TempDir()
	const kills = 60
	inFlight := 0
	for range kills {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() {
			t.Fatal("the child has saved nothing")
		}
		time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { child.Process.Kill() })
		printed := lines.Text()
		for lines.Scan() {
			printed = lines.Text()
		}
		child.Wait() // it was killed

		var got numbered
		if err := Open(dir).Role("r").Load(&got); err != nil {
			t.Fatalf("after %s: %v", printed, err)
		}
		if got != number(got.N) {
			t.Fatalf("after %s: the value is not whole: %.100v", printed, got)
		}
		switch fmt.Sprint(got.N) {
		case printed:
		case next(printed):
			inFlight++
		default:
			t.Fatalf("the value is number %d, and number %s was saved last", got.N, printed)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 2 {
		t.Errorf("%d files are left of %d kills: %v", len(entries), kills, entries)
	}
	if err := Open(dir).Role("r").Save(number(0)); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, dir, "r.json")
	t.Logf("%d of %d kills fell between the replacement and the report of it", inFlight, kills)
}

func next(n string) string {
	var i int
	fmt.Sscan(n, &i)
	return fmt.Sprint(i + 1)
}

func TestLeftoversOfOthersStay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".r.json123", ".r.json", ".r.json12x", ".other.json123", "r.json123"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Open(dir).Role("r").Save(1); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, dir, ".other.json123", ".r.json", ".r.json12x", "r.json", "r.json123")
}
