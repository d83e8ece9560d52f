/*
 * interrupt - Ctrl-C while something is waited for.
 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t came;

static void on_signal(int number)
{
    (void)number;
    came = 1;
}

void interrupt_catch(void)
{
    /* not restarted: a sleep or a poll must end at once */
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND }, was;

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
}

bool interrupt_came(void)
{
    return came != 0;
}
