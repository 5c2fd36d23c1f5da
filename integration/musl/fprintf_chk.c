// Debian builds libseccomp.a against glibc with _FORTIFY_SOURCE, which turns
// fprintf into __fprintf_chk. musl has no such name, so the static build
// brings its own: the flag only asks glibc for checks of "%n".
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
	va_list args;
	int n;

	(void)flag;
	va_start(args, format);
	n = vfprintf(stream, format, args);
	va_end(args);
	return n;
}
