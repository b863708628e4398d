/* library.c: see library.h. */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

bool gp_library_open(const char *const *names, size_t name_count, const gp_function *functions, size_t count)
{
    void *library = NULL;
    for (size_t i = 0; i < name_count && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < count; i++) {
        void *address = library ? dlsym(library, functions[i].name) : NULL;
        if (!address)
            return false;
        memcpy(functions[i].to, &address, sizeof address); /* C has no other way from data to a function */
    }
    return true;
}
