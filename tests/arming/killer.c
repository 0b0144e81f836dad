/*
 * Kills the process at the Nth system call that changes a file system: LD_PRELOAD it, then call
 * killer_set(n, how). how 0: before the call; 1: in a write(2) that has written one half, and where
 * the Nth call is another, it exits with 77 instead: after one call is before the next one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

static long limit = -1, count, manner;

void killer_set(long n, int how) { limit = n; count = 0; manner = how; }

static int due(void) { return limit >= 0 && ++count == limit; }
static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define AROUND(type, call) \
	do { \
		if (due()) { \
			if (manner) \
				_exit(77); \
			die(); \
		} \
		return call; \
	} while (0)

ssize_t write(int fd, const void *data, size_t size)
{
	if (fd > 2 && due()) {
		if (manner)
			REAL(write)(fd, data, size / 2);
		die();
	}
	return REAL(write)(fd, data, size);
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		va_list more; \
		va_start(more, flags); \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
		va_end(more); \
		if (!(flags & O_CREAT)) \
			return REAL(name)(path, flags, mode); \
		AROUND(int, REAL(name)(path, flags, mode)); \
	}
OPEN(open)
OPEN(open64)

/* A killed process loses nothing that it did not sync: without the disk this is quicker. */
int fsync(int fd) { (void)fd; AROUND(int, 0); }
int fdatasync(int fd) { (void)fd; AROUND(int, 0); }
int rename(const char *a, const char *b) { AROUND(int, REAL(rename)(a, b)); }
int renameat(int d, const char *a, int e, const char *b) { AROUND(int, REAL(renameat)(d, a, e, b)); }
int unlink(const char *a) { AROUND(int, REAL(unlink)(a)); }
int unlinkat(int d, const char *a, int f) { AROUND(int, REAL(unlinkat)(d, a, f)); }
int rmdir(const char *a) { AROUND(int, REAL(rmdir)(a)); }
int mkdir(const char *a, mode_t m) { AROUND(int, REAL(mkdir)(a, m)); }
int mkdirat(int d, const char *a, mode_t m) { AROUND(int, REAL(mkdirat)(d, a, m)); }
int symlink(const char *a, const char *b) { AROUND(int, REAL(symlink)(a, b)); }
int symlinkat(const char *a, int d, const char *b) { AROUND(int, REAL(symlinkat)(a, d, b)); }
int chmod(const char *a, mode_t m) { AROUND(int, REAL(chmod)(a, m)); }
int fchmod(int fd, mode_t m) { AROUND(int, REAL(fchmod)(fd, m)); }
int fchown(int fd, uid_t u, gid_t g) { AROUND(int, REAL(fchown)(fd, u, g)); }
int ftruncate(int fd, off_t n) { AROUND(int, REAL(ftruncate)(fd, n)); }
int fsetxattr(int fd, const char *n, const void *v, size_t s, int f)
{
	AROUND(int, REAL(fsetxattr)(fd, n, v, s, f));
}
