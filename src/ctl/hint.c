/*
 * hint.c -- what the server advises, in the words of the command line.
 *
 * The server speaks to any client, so it names verbs and arguments as they
 * stand in a request.  Here a person reads it, who has to type them.  A word
 * that is a verb's name with its dot is the verb; a word in quotes, or one
 * with a "_", is an argument if the verb has it, or the verb that was named
 * before it in the text.  All else stays as it is.
 */

#include "core/platform.h"

#include "ctl/hint.h"

static bool
hint_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'
           || c == '.';
}

static const veil_control_arg_t *
hint_arg(const veil_control_verb_t *verb, veil_str_t name)
{
    const veil_control_arg_t *a;

    for (a = verb == NULL ? NULL : verb->args; a != NULL && a->name != NULL;
         a++) {
        if (veil_str_eq_z(name, a->name)) {
            return a;
        }
    }
    return NULL;
}

static void
hint_verb(veil_ctl_text_t *t, const veil_control_verb_t *verb)
{
    char words[VEIL_CTL_WORDS];

    veil_ctl_text_printf(t, "\"veilctl %s\"",
                         veil_ctl_verb_words(verb, words));
}

static void
hint_option(veil_ctl_text_t *t, const veil_control_arg_t *a)
{
    char buf[VEIL_CTL_WORDS];

    veil_ctl_text_printf(t, "--%s", veil_ctl_name_dashed(a->name, buf));
}

/* The word at the beginning of s, without the dot of a sentence. */
static veil_str_t
hint_next(veil_str_t s)
{
    size_t n = 0;

    while (n < s.len && hint_is_word(s.data[n])) {
        n++;
    }
    while (n != 0 && s.data[n - 1] == '.') {
        n--;
    }
    return veil_str_n(s.data, n);
}

void
veil_ctl_hint(veil_ctl_text_t *t, const veil_control_verb_t *verb,
              veil_str_t s)
{
    const veil_control_verb_t *said = NULL, *v;
    const veil_control_arg_t *a;
    veil_str_t word;
    bool quoted;
    size_t n;

    while (s.len != 0) {
        quoted = s.data[0] == '"';
        word = hint_next(veil_str_from(s, quoted));
        n = word.len + (quoted ? 2 : 0);
        quoted = quoted && n <= s.len && s.data[n - 1] == '"';
        v = veil_str_chr(word, '.') < 0 ? NULL : veil_ctl_verb_find(word);
        a = quoted || veil_str_chr(word, '_') >= 0 ? hint_arg(verb, word)
                                                   : NULL;
        a = a == NULL && quoted ? hint_arg(said, word) : a;
        if (word.len == 0 || (s.data[0] == '"' && !quoted)) {
            n = 1;
            veil_ctl_text_add(t, veil_str_n(s.data, n));
        } else if (v != NULL) {
            said = v;
            hint_verb(t, v);
        } else if (a != NULL) {
            hint_option(t, a);
        } else {
            veil_ctl_text_add(t, veil_str_n(s.data, n));
        }
        s = veil_str_from(s, n);
    }
}
