/* descriptors.c: see descriptors.h. */
#include "cli/descriptors.h"
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void gp_standard_hold(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_DIRECTORY) != fd) /* the lowest that is free */
            die("descriptor %d is closed, and cannot be held: %s", fd, strerror(errno));
}
