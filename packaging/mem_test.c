/* Whether mem.c does what the C library does: every length up to where it changes its way, any alignment, any overlap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__wrap_memcpy(void *, const void *, size_t);
void *__wrap_memmove(void *, const void *, size_t);
int __wrap_memcmp(const void *, const void *, size_t);

enum { SIZE = 9000, MOST = 2300, MIDDLE = 3000 };

static unsigned char from[SIZE], ours[SIZE], theirs[SIZE];

static int sign(int x) { return (x > 0) - (x < 0); }

static int fail(const char *what, int n, int at) {
    printf("%s of %d bytes at %d differs\n", what, n, at);
    return 1;
}

int main(void) {
    static const int shifts[] = {-2500, -500, -70, -64, -33, -17, -8, -1, 0, 1, 2, 7, 9, 16, 31, 63, 64, 65, 100, 500, 2500};
    for (int i = 0; i < SIZE; i++) {
        from[i] = (unsigned char)rand();
        ours[i] = theirs[i] = (unsigned char)rand();
    }
    for (int n = 0; n < MOST; n++) {
        for (int at = 0; at < 5; at++) {
            __wrap_memcpy(ours + at, from + 3, n);
            memcpy(theirs + at, from + 3, n);
            if (memcmp(ours, theirs, SIZE)) return fail("a copy", n, at);
        }
        for (unsigned k = 0; k < sizeof shifts / sizeof *shifts; k++) {
            __wrap_memmove(ours + MIDDLE + shifts[k], ours + MIDDLE, n);
            memmove(theirs + MIDDLE + shifts[k], theirs + MIDDLE, n);
            if (memcmp(ours, theirs, SIZE)) return fail("a move", n, shifts[k]);
        }
        for (int changed = 0; changed < 4; changed++) {
            memcpy(theirs, ours, SIZE);
            unsigned char *other = theirs + MIDDLE + changed;
            memcpy(other, ours + 1, n);
            if (n && changed) other[rand() % n] ^= (unsigned char)(1 + rand() % 255);
            if (sign(memcmp(ours + 1, other, n)) != sign(__wrap_memcmp(ours + 1, other, n))) return fail("an order", n, 0);
            memcpy(theirs, ours, SIZE);
        }
    }
    return 0;
}
