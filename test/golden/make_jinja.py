"""Golden texts of Jinja templates, as transformers' own environment writes them.

Run from the repository's root:  python test/golden/make_jinja.py
Made with transformers 5.24.0, jinja2 3.1.6. Writes generation/jinja.json: expressions, small templates, and the chat
templates of generation/templates over conversations.
"""
import itertools
import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

golden = pathlib.Path(__file__).parent / "generation"
variables = {
    "n": None, "t": True, "f": False, "i": 7, "x": 2.5, "s": "  Ab\tcd\n", "word": "strasse", "empty": "", "list": [3, 1, 2], "none_list": [], "names": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": {"k": [1, None, True, "q'uo\"te", "é\n"]}, "items": "own"}, "e": {}, "text": "one\ntwo\n\nthree",
    "rows": [{"g": "x", "v": 2}, {"g": "y", "v": 1}, {"g": "x", "v": 3, "w": None}], "tool": {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}},
}
expressions = """n|t|f|i|x|s|list|d|e|none_list|(1,)|(1, 2)|()|[n, t, 1.0, 1e16, 1e-5, 0.1, 123456789.5, -0.0]|"it's"|['it\\'s', 'a"b', "a\\nb\\tc\\\\", '\\x07é']|missing|missing.x|n.x|d.b|d['b']|d.items|d['items']|d.nothing|d['nothing']|d.keys()|d.get('z')|d.get('z', 5)|d.get('b')
none_list != []|none_list == []|missing is none|n is none|missing is defined|n is defined|d == {}|e == {}|1 == True|1 == 1.0|'1' == 1|n == missing|missing == missing|n == false|0 == false|'' == false|[1, 2] == [1, 2]|(1, 2) == [1, 2]
1 < 2 < 3|3 > 2 > 2|'a' < 'b'|'B' < 'a'|n < 1|1 in list|'b' in d|'x' in 'xyz'|5 not in list|n in list|missing in list|1 in missing|'a' in n|1 in 'abc'
1 + 2|1 + 2.0|7 / 2|7 // 2|-7 // 2|-7 % 3|7 % -3|2 ** 3|2 ** -1|2 ** 3 ** 2|-2 ** 2|'a' + 'b'|'a' + 1|'a' ~ 1 ~ n ~ t ~ missing|[1] + [2]|'ab' * 3|[0] * 2|t + t|1 / 0|i % 2 == 1|1 - -1|+1|- i|1.5 + 1|10 // 3.0|5.0|1_000|7 % 2.5|'%s' ~ 1
not t|not missing|t and n|n or 'x'|f or n|t and 1 or 2|not t or t|1 if t else 2|1 if f else 2|1 if f|(1 if f) is defined|'a' if n is none else 'b'|2 if f else 3 if f else 4|not 1 in list|1 not in list and t
s.strip()|s.lstrip()|s.rstrip()|s.lstrip('\\n')|'\\n\\n  a'.lstrip('\\n')|'xxaxx'.strip('x')|'abcba'.strip('ab')|'a b  c'.split()|' a b '.split(' ')|'a,b,c'.split(',', 1)|'a,b,c'.rsplit(',', 1)|'a,b,c'.split(',')[-1]|'a b c'.split(maxsplit=1)|text.splitlines()|'a'.join(['x', 'y'])|','.join(names)|'hello World'.title()|'hELLO'.capitalize()|word.upper()|'ß'.upper()|'a-b'.replace('-', '+')|'aaa'.replace('a', 'b', 2)|'abc'.startswith('ab')|'abc'.startswith(('x', 'a'))|'abc'.endswith('c')|'abcabc'.find('c')|'abcabc'.rfind('c')|'abcabc'.count('bc')|'12'.isdigit()|'a1'.isalnum()|'a1'.isalpha()|' '.isspace()|''.isspace()|'AB'.isupper()|'7'.zfill(3)|'abc'.removeprefix('ab')|'abc'.removesuffix('bc')|'a=b=c'.partition('=')|'a=b=c'.rpartition('=')|'x'.ljust(3) ~ '.'|'x'.nothing|'x'.nothing()|list.append(4)|list.index(1)|list.count(1)|d.update({})|d.pop('b')
s[0]|'héllo'[1]|'abc'[-1]|'abc'[9]|'abc'[1:]|'abc'[:-1]|'abc'[::-1]|list[0]|list[-1]|list[5]|list[1:]|list[::-1]|list[:2]|list[-2:]|list[::2]|list[5:]|(1, 2, 3)[1:]|'😀b'[0]|d.a.k[1]|d.a.k[3]|d['a']['k'][2]|'abc'['x']|rows[0].g|rows[0]['g']|rows.0.g|rows[2].w
list|length|d|length|'😀'|length|n|length|missing|length|none_list|first|list|first|list|last|'abc'|first|'abc'|last|list|sum|list|max|list|min|list|sort|names|sort|names|sort(case_sensitive=true)|names|sort(reverse=true)|rows|sort(attribute='v')|rows|map(attribute='v')|list|rows|map(attribute='w', default='-')|list|names|map('upper')|list|names|map('upper')|join(', ')|list|join|list|join('-')|rows|join('+', attribute='g')|names|reverse|list|'abc'|reverse|list|list|'abc'|list|d|list|names|unique|list|[1, 1, 2]|unique|list|rows|groupby('g')|d|dictsort|e|dictsort|d|items|list|missing|items|list|list|select('odd')|list|list|select('gt', 1)|list|list|reject('equalto', 1)|list|list|select|list|rows|selectattr('v', 'equalto', 1)|list|rows|selectattr('w', 'defined')|list|rows|selectattr('w')|list|rows|rejectattr('w', 'defined')|list|rows|selectattr('g', 'in', ['x'])|list
i|string|n|string|x|string|'5'|int|'5.7'|int|'x'|int|'x'|int(3)|x|int|-2.7|int|n|int|'2.5'|float|'x'|float|i|float|-3|abs|2.5|round|3.5|round|2.567|round(2)|2.1|round(0, 'ceil')|'ab cd'|capitalize|'ab cd'|title|'AB'|lower|s|trim|'xax'|trim('x')|'a b c'|wordcount|'aab'|replace('a', 'b')|'aab'|replace('a', 'b', 1)|missing|default('z')|n|default('z')|''|default('z')|''|default('z', true)|n|d('z', true)|missing|d|text|indent|text|indent(2)|text|indent(2, true)|text|indent(2, true, true)|text|indent('> ')|''|indent|'a'|safe|'a'|center(5)|'ab'|attr('upper')|d|attr('b')
d|tojson|d|tojson(indent=2)|d|tojson(indent=4, sort_keys=true)|n|tojson|t|tojson|x|tojson|1e20|tojson|'é<>&\\''|tojson|'é'|tojson(ensure_ascii=true)|'😀'|tojson(ensure_ascii=true)|e|tojson(indent=2)|none_list|tojson|[[]]|tojson(indent=1)|d|tojson(separators=(',', ':'))|missing|tojson|tool|tojson|tool|tojson(indent=4)|rows|tojson|(1, 2)|tojson|{1: 2}|tojson|{'a': t}|tojson
t is true|t is boolean|i is number|i is integer|x is float|t is number|t is integer|'a' is string|list is iterable|d is mapping|list is sequence|d is iterable|n is iterable|'a' is iterable|i is odd|i is even|i is divisibleby 7|i is divisibleby(3)|'a' is lower|'A' is upper|'1' is upper|1 is eq 1|1 is sameas true|1 in [1] is true|i is not none|n is not none|not n is none|'f' is filter|'upper' is filter|missing is undefined|2 is gt 1|i is in list|d is callable|range is callable
range(3)|list|range(1, 7, 2)|list|range(5, 0, -2)|list|range(0)|list|namespace(a=1).a|dict(a=1)|dict(a=1).a|{'a': 1, **d}|[*list]|raise_exception('no')|range(100001)|list|'a' 'b'|"\\u00e9\\x41"|{'a': [1, {'b': n}]}|[t, f, n]|{'k': missing}|[missing]|1.0|100000000000000000.0|3.0 * 2|1e3|12345678901234567890"""
templates = [
    "{% for x in list %}{{ x }}{{ ',' if not loop.last }}{% endfor %}", "{% for x in none_list %}a{% else %}none{% endfor %}", "{% for x in list if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|dictsort %}{{ k }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'añ😀' %}[{{ c }}]{% endfor %}", "{% for x in missing %}a{% endfor %}.", "{% for x in n %}{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }} {% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for x in list %}a{{ x }}{% if x == 1 %}b{% break %}{% endif %}c{% endfor %}", "{% for x in list %}a{% if x == 1 %}b{% continue %}{% endif %}c{% endfor %}",
    "{% for x in list %}a{% for y in list %}b{% break %}{% endfor %}{% if loop.first %}<{% continue %}{% endif %}c{% endfor %}", "{% for x in list %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('o', 'e') }} {% endfor %}",
    "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}", "{% set x = 1 %}{% for y in list %}{{ x }}{% set x = y %}{% endfor %}{{ x }}", "{% set ns = namespace(a=0) %}{% for y in list %}{% set ns.a = ns.a + y %}{% endfor %}{{ ns.a }}", "{% if t %}{% set z = 1 %}{% endif %}{{ z }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set z %}x{{ i }}{% endset %}{{ z }}", "{% set z | upper %}x{{ i }}{% endset %}{{ z }}", "{% set z = 1, 2 %}{{ z }}", "{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=5, a=4) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}",
    "{% macro m() %}a{% endmacro %}{{ m(1) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}.{{ m(1, a=2) }}", "{% macro m() %}{{ q }}{% endmacro %}{% set q = 5 %}{{ m() }}", "{% macro m() %}{{ y }}{% endmacro %}{% for y in list %}{{ m() }}{% endfor %}", "{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(v) m(3) %}v{{ v }}{% endcall %}",
    "{% macro f(v, depth) %}{% if v is mapping %}{{ '{' }}{% for k, w in v|items %}{{ k }}:{{ f(w, depth + 1) }},{% endfor %}{{ '}' }}{% else %}{{ v }}@{{ depth }}{% endif %}{% endmacro %}{{ f(tool, 0) }}",
    "{% macro m() %}  x  {% endmacro %}{{ m()|trim }}|{{ m().strip() }}|", "{% filter upper %}a{{ i }}{% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "a{# comment #}b", "{% raw %}{{ x }}{% endraw %}", "{% generation %}x{{ i }}{% endgeneration %}", "{%- generation -%} a {%- endgeneration -%} b",
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}\n  b\n  {% endif %}\nc", "a\n  {%- if t %}\nb {%- endif -%}\n c", "  {{ i }}  \n  {{ i }}\n", "a  {% if t %}b{% endif %}  {% if t %}  c{% endif %}", "\n\n{% if t %}\n\nx\n\n{% endif %}\n\n", "{% if t +%}\nb{% endif %}", "a\n  {%+ if t %}b{% endif %}", "a {{- i -}} b", "a\n{#- c -#}\nb", "a\n  {# c #}\nb", "x\r\ny\r{{ i }}\r\n",
    "{{ '{%' }} {{ '}}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': {'b': 1}} }}", "{% if none_list != [] %}a{% endif %}b", "{% if not missing %}a{% endif %}", "{% if missing is none %}a{% else %}b{% endif %}", "{% if i == 7 and not f or missing %}a{% elif t %}b{% else %}c{% endif %}", "{% if f %}a{% elif i > 3 %}b{% else %}c{% endif %}",
    "{{ raise_exception('stop') }}", "{% if t %}", "{% endif %}", "{{ 1 + }}", "{% unknown %}", "{{ 'a' | nofilter }}", "{{ 1 is notest }}", "{{ a b }}", "{{ [1, 2 }}", "{% for x in %}{% endfor %}", "{% set %}", "{{ 'abc }}", "{# open", "{% include 'x' %}", "{{ loop.index }}", "{{ self }}", "{{ caller() }}", "{{ ''.__class__ }}", "{{ list.__class__ }}", "{{ d.__class__.__mro__ }}", "text only", "", "\n", "{{ '' }}\n\n", "{{ s }}|{{ text }}",
    "{% for m in rows %}{{ m.g if m.g else 'none' }}{% if m.w is defined and m.w is none %}!{% endif %}{% endfor %}", "{{ (rows|selectattr('g', 'equalto', 'x')|list|length) > 1 }}", "{{ rows | map(attribute='g') | unique | join(', ') }}", "{{ list[loop.index0] }}", "{{ names[::-1][0] }}{{ names[-1:] }}", "{%set x=1%}{{x}}", "{{x|default(1)}}{{- x -}}",
    "{% set last = namespace(i=rows|length - 1) %}{% for m in rows[::-1] %}{% set index = (rows|length - 1) - loop.index0 %}{{ index }}{% if last.i == index %}*{% endif %}{% endfor %}", "{% for x in range(3) %}{% for y in range(x) %}{{ loop.index }}{% endfor %}|{{ loop.index }}{% endfor %}",
    "{% set x = 'out' %}{% if t %}{% set x = 'in' %}{% endif %}{{ x }}", "{% set ns = namespace() %}{% set ns.found = false %}{{ ns.found }}{{ ns.nothing }}", "{% set d.b = 2 %}", "{% for x in list recursive %}{% endfor %}", "{{ tool.function.parameters.properties.items() }}", "{% for name, p in tool.function.parameters.properties.items() %}{{ name }}: {{ p.type }}{% endfor %}",
]


def split(line):
    """Expressions between bars; a bar within one is a filter where a filter's name follows it."""
    from jinja2.filters import FILTERS
    parts = []
    for part in line.split("|"):
        word = part.split("(")[0].strip()
        if parts and word in FILTERS and word not in ("list", "d", "e", "items") or parts and word in ("list",) and parts[-1].startswith(("range", "rows|", "names|", "list|", "'abc'|rev", "d|items", "missing|items", "[1, 1", "'abc'", "d")) and parts[-1] not in ("list", "d", "rows"):
            parts[-1] += "|" + part
        else:
            parts.append(part)
    return parts


def render(text, variables):
    try:
        return {"template": text, "text": _compile_jinja_template(text).render(**variables)}
    except Exception as error:
        return {"template": text, "error": type(error).__name__}


cases = []
for line in expressions.split("\n"):
    for expression in split(line):
        cases.append(render("{{ " + expression + " }}", variables))
cases += [render(text, variables) for text in templates]

# Conversations of all shapes, over the templates of model families.
contents = ["", "Hello", "  indented\n    code\n", "\n\nlead", None, "<think>\nwhy\n</think>\n\nbecause", "</think>", "a 'quote' \"double\" é 日本 😀", [{"type": "text", "text": "part"}, {"type": "image"}]]
call = {"type": "function", "id": "abcdefghi", "function": {"name": "f", "arguments": {"a": 1.5, "b": [None, True, "é"], "c": {"d": {}}}}}
tool = {"type": "function", "function": {"name": "f", "description": "Does 'f' & <g>", "parameters": {"type": "object", "properties": {"a": {"type": "number", "enum": [1, 2.5, None]}, "items": {"type": "array"}}, "required": []}}}
shapes = [
    *[[{"role": "user", "content": content}] for content in contents],
    *[[{"role": "user", "content": "q"}, {"role": "assistant", "content": content}] for content in contents],
    *[[{"role": "system", "content": content}, {"role": "user", "content": "q"}] for content in contents],
    *[[{"role": "user", "content": "q"}, {"role": "assistant", "content": content, "tool_calls": [call]}, {"role": "tool", "name": "f", "tool_call_id": "abcdefghi", "content": answer}, {"role": "assistant", "content": "end"}] for content in ("", None, "thinking") for answer in ("1", "", {"r": [1, None]})],
    [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "r\n"}, {"role": "user", "content": "q2"}, {"role": "assistant", "content": "\n  b", "reasoning_content": "\nr2"}],
    [{"role": "user", "content": "q"}, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}, {"role": "user", "content": "p"}],
    [{"role": "assistant", "content": "first"}], [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], [{"role": "tool", "content": "x"}],
]
chats = []
for path in sorted((golden / "templates").glob("*.jinja")):
    text = path.read_text()
    for messages, tools, more in itertools.product(shapes, (None, [tool], []), ({}, {"add_generation_prompt": True}, {"enable_thinking": False, "add_generation_prompt": True})):
        if tools == [] and more:
            continue
        given = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": False, **more, "messages": messages, "tools": tools, "documents": None}
        result = render(text, given)
        del result["template"]
        chats.append({"template": path.stem, "messages": shapes.index(messages), "tools": tools, "more": more, **result})
dump = lambda value: json.dumps(value, separators=(",", ":"))
rows = lambda values: "[\n" + ",\n".join(map(dump, values)) + "\n]"
(golden / "jinja.json").write_text('{"variables": ' + dump(variables) + ',\n"cases": ' + rows(cases) + ',\n"conversations": ' + rows(shapes) + ',\n"chats": ' + rows(chats) + "}\n")
print(len(cases), "cases,", len(chats), "chats,", sum("error" in each for each in chats), "of them refused")
