/*
 * json_get.c - print a member of the JSON document on standard input, for shell scripts
 *
 *	json_get .runs[0].id <file
 *
 * A string is printed as it is, anything else as JSON, "#" the number of elements.  Exit status 1:
 * there is no such member; 2: that is no JSON document, or there is something after it.
 */
#include <config.h>

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_all(void)
{
    size_t room = 1 << 16;
    size_t len = 0;
    char *text = malloc(room);

    while (text != NULL) {
        size_t n = fread(text + len, 1, room - len - 1, stdin);

        len += n;
        if (n == 0) {
            text[len] = '\0';
            return strlen(text) == len ? text : NULL;
        }
        if (room - len == 1) {
            char *more = realloc(text, room *= 2);

            if (more == NULL)
                free(text);
            text = more;
        }
    }
    return NULL;
}

/* One step of the path; *PATH is moved behind it. */
static cJSON *step(const cJSON *at, const char **path)
{
    char name[64];
    size_t len;

    if (**path == '[') {
        char *end;
        long i = strtol(*path + 1, &end, 10);

        *path = *end == ']' ? end + 1 : end;
        return *end == ']' ? cJSON_GetArrayItem(at, (int)i) : NULL;
    }
    if (**path != '.')
        return NULL;
    len = strcspn(*path + 1, ".[#");
    (void)snprintf(name, sizeof name, "%.*s", (int)len, *path + 1);
    *path += 1 + len;
    return cJSON_GetObjectItemCaseSensitive(at, name);
}

static void print(const cJSON *item)
{
    char *text;

    if (cJSON_IsString(item)) {
        (void)puts(item->valuestring);
        return;
    }
    text = cJSON_PrintUnformatted(item);
    (void)puts(text != NULL ? text : "?");
    cJSON_free(text);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "";
    char *text = read_all();
    cJSON *all = text != NULL ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
    const cJSON *at = all;

    free(text);
    if (all == NULL) {
        (void)fputs("json_get: that is no JSON document\n", stderr);
        return 2;
    }
    while (at != NULL && *path != '\0' && *path != '#')
        at = step(at, &path);
    if (at != NULL && *path == '#')
        (void)printf("%d\n", cJSON_GetArraySize(at));
    else if (at != NULL)
        print(at);
    cJSON_Delete(all);
    return at != NULL ? 0 : 1;
}
