/* peak_memory FILE COMMAND...: runs it, and writes the most memory that it had resident, in bytes, into FILE. Exits as
 * it does. (time(1) with -v, which is not everywhere.) */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage use;
    int status = 0;
    pid_t child = argc > 2 ? fork() : -1;
    if (!child) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &use) != child)
        return 126;
    FILE *f = fopen(argv[1], "w");
    if (!f)
        return 126;
    fprintf(f, "%lld\n", (long long)use.ru_maxrss * 1024);
    return fclose(f) ? 126 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
