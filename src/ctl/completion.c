/*
 * completion.c -- a completion for bash, made from the tables.
 *
 * The script is a table too: for each verb the words that may follow it, and
 * what each takes.  It needs nothing but bash: bash-completion may not be
 * there.  Bash breaks the command line at "=" and ":", so the script puts
 * the words together again, and cuts from its proposals what stands before
 * the last of these.
 *
 * Each line of a verb's table is "NAME KIND WORDS": KIND is "flag", "value",
 * "file", "time" or "word", and a name of "-" is an argument with a position.
 */

#include "core/platform.h"

#include "ctl/man.h"

static const char completion_begin[] =
    "# Made by \"veilctl --completion bash\"; not for editing.\n"
    "\n"
    "# The arguments of a verb: name, kind, words.\n"
    "_veilctl_arguments()\n"
    "{\n"
    "    case $1 in\n";

static const char completion_end[] =
    "\n"
    "# Words that are whole, up to the cursor, into \"words\".\n"
    "_veilctl_words()\n"
    "{\n"
    "    local i word glue=\n"
    "    words=()\n"
    "    for ((i = 1; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $word == [=:]* || $glue == 1 ]] && ((${#words[@]})); then\n"
    "            words[${#words[@]} - 1]+=$word\n"
    "        else\n"
    "            words+=(\"$word\")\n"
    "        fi\n"
    "        glue=\n"
    "        [[ $word == [=:] ]] && glue=1\n"
    "    done\n"
    "}\n"
    "\n"
    "# Proposals for cur; those of bash begin after its last break.\n"
    "_veilctl_propose()\n"
    "{\n"
    "    local i head=${cur%\"${cur##*[=:]}\"}\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
    "    [[ $COMP_WORDBREAKS == *=* ]] || head=\n"
    "    for i in \"${!COMPREPLY[@]}\"; do\n"
    "        COMPREPLY[i]=${COMPREPLY[i]#\"$head\"}\n"
    "    done\n"
    "}\n"
    "\n"
    "_veilctl_files()\n"
    "{\n"
    "    mapfile -t COMPREPLY < <(compgen -f -- \"${cur##*=}\")\n"
    "    compopt -o filenames 2> /dev/null\n"
    "}\n"
    "\n"
    "# What may stand for an argument of this kind.\n"
    "_veilctl_value()\n"
    "{\n"
    "    case $1 in\n"
    "        word) _veilctl_propose \"$2\" ;;\n"
    "        file) _veilctl_files ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_veilctl()\n"
    "{\n"
    "    local words cur prev verb= rest=0 i name kind list all= given\n"
    "    local positions=()\n"
    "    _veilctl_words\n"
    "    cur=${words[${#words[@]} - 1]}\n"
    "    prev=\n"
    "    ((${#words[@]} > 1)) && prev=${words[${#words[@]} - 2]}\n"
    "    COMPREPLY=()\n"
    "\n"
    "    # The longest verb that the words before the cursor make.\n"
    "    local said=() so_far=\n"
    "    for ((i = 0; i < ${#words[@]} - 1; i++)); do\n"
    "        case ${words[i]} in\n"
    "            -s | -c | -p | -t | -w | --socket | --config | --prefix | "
    "--timeout | --watch) ((i++)) ;;\n"
    "            -*) ;;\n"
    "            help) [[ ${#said[@]} -eq 0 ]] || said+=(\"${words[i]}\") ;;\n"
    "            *) said+=(\"${words[i]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    for ((i = 0; i < ${#said[@]}; i++)); do\n"
    "        so_far+=${so_far:+ }${said[i]}\n"
    "        if [[ $'\\n'$_veilctl_verbs == *$'\\n'\"$so_far\"$'\\n'* ]]; "
    "then\n"
    "            verb=$so_far rest=$((i + 1))\n"
    "        fi\n"
    "    done\n"
    "\n"
    "    case $prev in\n"
    "        -s | --socket | -c | --config) _veilctl_files; return ;;\n"
    "        -p | --prefix) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
    "            return ;;\n"
    "        --completion) _veilctl_propose bash; return ;;\n"
    "    esac\n"
    "    if [[ -z $verb ]]; then\n"
    "        so_far=\"${said[*]}\"\n"
    "        while read -r list; do\n"
    "            [[ -z $so_far || $list == \"$so_far \"* ]] || continue\n"
    "            list=${list#\"$so_far\"}\n"
    "            list=${list# }\n"
    "            [[ \"$all \" == *\" ${list%% *} \"* ]] \\\n"
    "                || all+=\" ${list%% *}\"\n"
    "        done <<< \"$_veilctl_verbs\"\n"
    "        [[ $cur == -* ]] && all=$_veilctl_options\n"
    "        _veilctl_propose \"$all\"\n"
    "        return\n"
    "    fi\n"
    "\n"
    "    rest=$((${#said[@]} - rest))\n"
    "    for given in \"${said[@]}\"; do\n"
    "        [[ $given == *=* ]] && ((rest--))\n"
    "    done\n"
    "    while read -r name kind list; do\n"
    "        [[ -n $name ]] || continue\n"
    "        if [[ $name == - ]]; then\n"
    "            positions+=(\"$kind $list\")\n"
    "            continue\n"
    "        fi\n"
    "        # A value behind the name, in the same word or in the next.\n"
    "        case $cur in\n"
    "            \"$name=\"* | \"--$name=\"*)\n"
    "                given=${cur%%=*}\n"
    "                list=\" $list\"\n"
    "                _veilctl_value \"$kind\" \"${list// / $given=}\"\n"
    "                return ;;\n"
    "        esac\n"
    "        if [[ $prev == \"--$name\" && $kind != flag ]]; then\n"
    "            _veilctl_value \"$kind\" \"$list\"\n"
    "            return\n"
    "        fi\n"
    "        if [[ $kind == flag || $cur == -* ]]; then\n"
    "            all+=\" --$name\"\n"
    "        else\n"
    "            all+=\" $name=\"\n"
    "        fi\n"
    "    done < <(_veilctl_arguments \"$verb\")\n"
    "\n"
    "    if [[ $cur != -* && $rest -ge 0 && $rest -lt ${#positions[@]} ]]; "
    "then\n"
    "        read -r kind list <<< \"${positions[rest]}\"\n"
    "        _veilctl_value \"$kind\" \"$list\"\n"
    "        ((${#COMPREPLY[@]})) && return\n"
    "    fi\n"
    "    [[ $cur == -* ]] && all+=\" $_veilctl_options\"\n"
    "    _veilctl_propose \"$all\"\n"
    "    [[ ${COMPREPLY[0]} == *= && ${#COMPREPLY[@]} -eq 1 ]] \\\n"
    "        && compopt -o nospace 2> /dev/null\n"
    "}\n"
    "\n"
    "complete -F _veilctl veilctl\n";

static const char *
completion_kind(const veil_control_arg_t *a)
{
    switch (a->type) {
    case VEIL_CONTROL_FLAG:
        return "flag";
    case VEIL_CONTROL_WORD:
        return "word";
    case VEIL_CONTROL_TIME:
        return "time";
    case VEIL_CONTROL_STRING:
    case VEIL_CONTROL_NUMBER:
        break;
    }
    return (a->flags & VEIL_CONTROL_FILE) != 0 ? "file" : "value";
}

static void
completion_line(veil_ctl_text_t *t, const char *name, const char *kind,
                const char *words)
{
    veil_str_t rest = veil_str_z(words);

    veil_ctl_text_printf(t, "                '%s %s", name, kind);
    while (rest.data != NULL) {
        veil_ctl_text_z(t, " ");
        veil_ctl_text_add(t, veil_str_cut(&rest, '|'));
    }
    veil_ctl_text_z(t, "' \\\n");
}

static void
completion_verb(veil_ctl_text_t *t, const veil_control_verb_t *v)
{
    const veil_control_arg_t *a;
    char words[VEIL_CTL_WORDS], shown[VEIL_CTL_WORDS];

    if ((v->args == NULL || v->args->name == NULL)
        && (v->flags & VEIL_CONTROL_CHANGES) == 0)
    {
        return;
    }
    veil_ctl_text_printf(t,
                         "        \"%s\")\n"
                         "            printf '%%s\\n' \\\n",
                         veil_ctl_verb_words(v, words));
    for (a = v->args; a != NULL && a->name != NULL; a++) {
        completion_line(t,
                        (a->flags & VEIL_CONTROL_POSITION) != 0
                            ? "-"
                            : veil_ctl_arg_name(v, a, shown),
                        completion_kind(a),
                        a->type == VEIL_CONTROL_WORD ? a->words : NULL);
    }
    if ((v->flags & VEIL_CONTROL_CHANGES) != 0) {
        completion_line(t, "dry-run", "flag", NULL);
        completion_line(t, "if-gen", "value", NULL);
    }
    if ((v->flags & VEIL_CONTROL_PERSISTS) != 0) {
        completion_line(t, "persist", "flag", NULL);
    }
    t->len -= sizeof(" \\\n") - 1;
    veil_ctl_text_z(t, " ;;\n");
}

void
veil_ctl_completion(veil_ctl_text_t *t)
{
    const veil_control_verb_t *v;
    const veil_ctl_option_t *o;
    char words[VEIL_CTL_WORDS];
    unsigned i;

    veil_ctl_text_z(t, completion_begin);
    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        completion_verb(t, v);
    }
    veil_ctl_text_z(t, "    esac\n}\n\n_veilctl_verbs='");
    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        veil_ctl_text_printf(t, "%s\n", veil_ctl_verb_words(v, words));
    }
    veil_ctl_text_z(t, "'\n_veilctl_options='");
    for (o = veil_ctl_options; o->name != NULL; o++) {
        veil_ctl_text_printf(t, "%s--%s", o == veil_ctl_options ? "" : " ",
                             o->name);
    }
    veil_ctl_text_z(t, "'\n");
    veil_ctl_text_z(t, completion_end);
}
