package apachekafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// libraryEnv names a folder to keep the jars in, instead of the user's cache.
const libraryEnv = "ANABRANCH_KAFKA_LIB"

// fetchTimeout bounds a download.
const fetchTimeout = 10 * time.Minute

// needed are the jars by which a folder is known to be whole: Maven's copy is
// renamed into place when it is.
var needed = []string{"kafka_2.13-" + Version, "kafka-clients-" + Version, "kafka-tools-" + Version, "log4j-slf4j-impl-" + log4j}

// log4j is the version that Kafka's own jars ask for; without the binding a
// broker says nothing.
const log4j = "2.25.3"

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>dev.anabranch</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + Version + `</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>` + Version + `</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>` + log4j + `</version></dependency>
  </dependencies>
</project>
`

// ErrMissing: Java, or Maven while the jars are not there, is not installed.
var ErrMissing = errors.New("not installed")

// Library is the folder with Kafka's jars. The first call fetches them through
// Maven, about 55 MB; processes that ask at the same time wait for one another.
func Library(ctx context.Context) (string, error) {
	dir := os.Getenv(libraryEnv)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("folder for Kafka's jars (set %s): %w", libraryEnv, err)
		}
		dir = filepath.Join(cache, "anabranch", "kafka-"+Version)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if whole(dir) == nil {
		return dir, nil
	}
	if err := fetchOnce(ctx, dir); err != nil {
		return "", fmt.Errorf("fetch Apache Kafka %s into %s: %w", Version, dir, err)
	}
	return dir, nil
}

// whole says which jar a folder lacks.
func whole(dir string) error {
	for _, name := range needed {
		if _, err := os.Stat(filepath.Join(dir, name+".jar")); err != nil {
			return err
		}
	}
	return nil
}

// fetchOnce holds the folder's lock, so that one process fetches and the others
// find what it has fetched.
func fetchOnce(ctx context.Context, dir string) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if whole(dir) == nil {
		return nil
	}
	return fetch(ctx, dir)
}

// fetch copies into a folder beside and renames it, so that what is cut short
// is never taken for whole.
func fetch(ctx context.Context, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("mvn: %w", ErrMissing)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("it has files, but not all of Kafka's: %w; empty it or set %s", whole(dir), libraryEnv)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	if err := os.WriteFile(filepath.Join(fresh, "pom.xml"), []byte(pom), 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	jars := filepath.Join(fresh, "lib")
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+jars)
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn: %w\n%s", err, out)
	}
	if err := whole(jars); err != nil {
		return fmt.Errorf("mvn has not brought everything: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil { // an empty one that was made for us
		return err
	}
	return os.Rename(jars, dir)
}

// java finds the Java runtime.
func java() (string, error) {
	path, err := exec.LookPath("java")
	if err != nil {
		return "", fmt.Errorf("java: %w", ErrMissing)
	}
	return path, nil
}
