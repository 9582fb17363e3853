/*
 * Prints how fast this machine's time-stamp counter runs, in kHz, for tsc_early_khz on the guest's
 * command line. QEMU hands this counter to its guest, and nothing to measure it by that works on a
 * busy machine; without it the guest's clock counts interrupts, loses some, and falls behind.
 */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(void)
{
    struct timespec pause = { 0, 200 * 1000 * 1000 };
    double from = now();
    unsigned long long start = __rdtsc();

    nanosleep(&pause, NULL);
    unsigned long long ticks = __rdtsc() - start;
    double seconds = now() - from;

    printf("%.0f\n", (double)ticks / seconds / 1000);
    return 0;
}
