"""mutate.py SOURCE OUT FLAGS... - writes SOURCE anew with all of its mutants in it, each chosen while the
program runs (runtime.c), and beside it OUT.json, which says what each one is. A mutant is one small
fault: a condition that is always true or false, a bound that is off by one, another operator, a number
plus or minus one, a statement left out, another result, a case that is never met. ST_MUTANT(n, differs)
notes that mutant n would make a difference here, and is true if it is the one that is chosen.

Tables, initialisers of static storage, macros and headers stay as they are: they are not code that can
choose while it runs. run.py builds and runs; equivalent.txt names the mutants that nothing can see.
"""
import glob
import json
import re
import sys

from clang.cindex import CursorKind as K, Index, TranslationUnit, TypeKind as T

# The compiler's own headers, which the library alone does not find.
HEADERS = sorted(glob.glob("/usr/lib/llvm-*/lib/clang/*/include"))

INTEGERS = {T.BOOL, T.CHAR_U, T.UCHAR, T.USHORT, T.UINT, T.ULONG, T.ULONGLONG, T.UINT128, T.CHAR_S, T.SCHAR,
            T.SHORT, T.INT, T.LONG, T.LONGLONG, T.INT128, T.ENUM}
BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
EQUAL = {"==", "!="}
# operator: what it becomes, and when that makes a difference
ARITHMETIC = {"+": ("-", "r_ != 0"), "-": ("+", "r_ != 0"), "*": ("/", "r_ != 0"), "/": ("*", "1"), "%": ("/", "1"),
              "<<": (">>", "l_ != 0 && r_ != 0"), ">>": ("<<", "l_ != 0 && r_ != 0"),
              "&": ("|", "(l_ & r_) != (l_ | r_)"), "|": ("&", "(l_ & r_) != (l_ | r_)"),
              "^": ("|", "(l_ ^ r_) != (l_ | r_)")}
ASSIGNMENT = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "%=": "/=", "<<=": ">>=", ">>=": "<<=", "&=": "|=",
              "|=": "&=", "^=": "|="}

PROLOGUE = """#define ST_MUTANT(id, differs) ((differs) && (st_mutant_seen[id] = 1, st_mutant_active == (id)))
static unsigned char st_mutant_first[%(size)d];
static unsigned char *volatile st_mutant_seen = st_mutant_first;
static volatile unsigned st_mutant_active;
void st_mutation_register(const char *, unsigned, volatile unsigned *, unsigned char *volatile *);
__attribute__((constructor)) static void st_mutant_register(void) {
  st_mutation_register("%(path)s", %(size)d, &st_mutant_active, &st_mutant_seen);
}
#line 1 "%(path)s"
"""


class Mutator:
    def __init__(self, path, flags):
        self.path = path
        with open(path, "rb") as file:
            self.source = file.read().decode("latin-1")
        self.unit = Index.create().parse(path, args=flags + [f"-I{h}" for h in HEADERS[-1:]],
                                         options=TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)
        errors = [d for d in self.unit.diagnostics if d.severity >= 3]
        if errors:
            sys.exit(f"mutate.py: {path}: {errors[0].spelling} (line {errors[0].location.line})")
        self.macros = {self.range(c) for c in self.unit.cursor.get_children()
                       if c.kind == K.MACRO_INSTANTIATION and self.here(c)}
        self.mutants = []
        self.function = ""
        self.result = None  # the kind of what the function returns
        self.values = (0, 1)  # of what it may return: the first, and another one
        self.other_than_first = set()  # where what is returned cannot be the first
        self.last_break = set()
        self.fixed = self.fixed_results()

    def here(self, node):
        return node.location.file is not None and node.location.file.name == self.path

    @staticmethod
    def range(node):
        return node.extent.start.offset, node.extent.end.offset

    def text(self, node):
        start, end = self.range(node)
        return self.source[start:end]

    def opaque(self, node):
        """Does it come out of a macro? Its parts cannot be told apart in the source."""
        start, end = self.range(node)
        return any(s <= start and end <= e for s, e in self.macros)

    def add(self, node, before, after):
        start, end = self.range(node)
        line_start = self.source.rfind("\n", 0, start) + 1
        line_end = self.source.find("\n", end)
        line = " ".join(self.source[line_start:line_end].split())
        if len(line) > 160:
            line = line[:160] + "..."
        shown = lambda t: " ".join(t.split()) if len(t) <= 100 else " ".join(t[:100].split()) + "..."
        mutant = {"function": self.function, "line": node.extent.start.line, "code": line,
                  "change": f"{shown(before)} -> {after}"}
        self.mutants.append(mutant)
        return len(self.mutants)

    def splice(self, node, parts):
        """The node's text with that of some of its children replaced: [(child, text)]."""
        start, end = self.range(node)
        out, at = [], start
        for child, text in sorted(parts, key=lambda part: self.range(part[0])):
            first, last = self.range(child)
            if first < at or last > end or self.source[first:last] == text:
                continue
            out += [self.source[at:first], text]
            at = last
        return "".join(out) + self.source[at:end]

    def unwrap(self, node):
        while node.kind == K.UNEXPOSED_EXPR:
            children = list(node.get_children())
            if len(children) != 1 or self.range(children[0]) != self.range(node):
                break
            node = children[0]
        return node

    def operator(self, node):
        """What stands between the two operands."""
        left, right = list(node.get_children())
        between = self.source[self.range(left)[1]:self.range(right)[0]]
        return re.sub(r"/\*.*?\*/|//[^\n]*", " ", between, flags=re.S).strip()

    def returns(self, node):
        for child in node.get_children():
            if child.kind == K.RETURN_STMT:
                yield from (self.unwrap(c) for c in child.get_children())
            else:
                yield from self.returns(child)

    def fixed_results(self):
        """{function: "true" or "false"}: those that always return the same, as what notes a failure does."""
        fixed, before = {}, None
        functions = [n for n in self.unit.cursor.get_children()
                     if n.kind == K.FUNCTION_DECL and n.is_definition() and self.here(n)]
        while before != len(fixed):
            before = len(fixed)
            for function in functions:
                results = {fixed.get(r.spelling, "?") if r.kind == K.CALL_EXPR else self.text(r)
                           for r in self.returns(function)}
                if len(results) == 1 and results <= {"true", "false"}:
                    fixed[function.spelling] = results.pop()
        return fixed

    # ---- expressions

    def expr(self, node):
        node = self.unwrap(node)
        text = self.text(node)
        if self.opaque(node):
            if text in ("true", "false"):
                return f"({text} ^ ST_MUTANT({self.add(node, text, 'not ' + text)}, 1))"
            return text
        method = getattr(self, "expr_" + node.kind.name.lower(), None)
        return method(node) if method else text

    def expr_all(self, node):
        return self.splice(node, [(c, self.expr(c)) for c in node.get_children()])

    expr_paren_expr = expr_member_ref_expr = expr_array_subscript_expr = expr_all

    def expr_integer_literal(self, node):
        text = self.text(node)
        more = self.add(node, text, text + " + 1")
        if not re.fullmatch(r"0[uUlL]*", text):
            less = self.add(node, text, text + " - 1")
            return f"({text} + ST_MUTANT({more}, 1) - ST_MUTANT({less}, 1))"
        return f"({text} + ST_MUTANT({more}, 1))"

    def expr_cstyle_cast_expr(self, node):
        children = list(node.get_children())
        return self.splice(node, [(children[-1], self.expr(children[-1]))])

    expr_compound_literal_expr = expr_cstyle_cast_expr

    def expr_init_list_expr(self, node):
        if re.fullmatch(r"\{\s*0\s*\}", self.text(node)):
            return self.text(node)
        parts = []
        for child in node.get_children():
            child = self.unwrap(child)
            if child.kind == K.UNEXPOSED_EXPR and self.text(child)[:1] in (".", "["):
                child = list(child.get_children())[-1]
            parts.append((child, self.expr(child)))
        return self.splice(node, parts)

    def expr_call_expr(self, node):
        children = list(node.get_children())
        if not children or re.match(r"(__|_mm)", self.text(node)):
            return self.text(node)  # what a compiler's own function takes may have to be a constant
        return self.splice(node, [(c, self.expr(c)) for c in children[1:]])

    def expr_conditional_operator(self, node):
        children = list(node.get_children())
        if len(children) != 3:
            return self.text(node)
        return "(" + self.splice(node, [(children[0], self.condition(children[0], "TF"))] +
                           [(c, self.expr(c)) for c in children[1:]]) + ")"

    def expr_unary_operator(self, node):
        text = self.text(node)
        child = self.unwrap(list(node.get_children())[0])
        if text[0] == "!":
            return self.condition(node, "TF")
        operand = self.expr(child) if child.kind != K.INTEGER_LITERAL or text[0] not in "-~" else self.text(child)
        inner = self.splice(node, [(child, operand)])
        if text[:2] in ("++", "--") or text[-2:] in ("++", "--"):
            if child.is_bitfield():
                return text
            other = inner.replace("++", "\0").replace("--", "++").replace("\0", "--") if inner == text else None
            if other is None:
                return inner
            mutant = self.add(node, text, other)
            return f"(ST_MUTANT({mutant}, 1) ? ({other}) : ({inner}))"
        if text[0] in "-~" and node.type.get_canonical().kind in INTEGERS:
            if child.kind == K.INTEGER_LITERAL:
                return f"({text} + 2 * ST_MUTANT({self.add(node, text, text + ' + 2')}, 1))"
            mutant = self.add(node, text, self.text(child))
            return f"({{ __auto_type v_ = ({operand})+0; ST_MUTANT({mutant}, v_ != {text[0]}v_) ? v_ : {text[0]}v_; }})"
        return inner

    def expr_binary_operator(self, node):
        operator = self.operator(node)
        left, right = list(node.get_children())
        if operator in BOUNDARY or operator in EQUAL or operator in ("&&", "||"):
            return self.condition(node, "TF")
        if operator not in ARITHMETIC:
            return self.expr_all(node)
        kinds = [c.type.get_canonical().kind for c in (node, left, right)]
        pointer = T.POINTER in kinds or any(k in (T.CONSTANTARRAY, T.INCOMPLETEARRAY) for k in kinds)
        if not pointer and not all(k in INTEGERS for k in kinds):
            return self.expr_all(node)
        if pointer and not (operator in "+-" and kinds[2] in INTEGERS):
            return self.expr_all(node)
        other, differs = ARITHMETIC[operator]
        mutant = self.add(node, self.text(node), f"{self.text(left)} {other} {self.text(right)}" if
                          len(self.text(node)) < 60 else other)
        return (f"({{ __auto_type l_ = ({self.expr(left)})+0; __auto_type r_ = ({self.expr(right)})+0; "
                f"ST_MUTANT({mutant}, {differs}) ? l_ {other} r_ : l_ {operator} r_; }})")

    def expr_compound_assignment_operator(self, node):
        operator = self.operator(node)
        left, right = list(node.get_children())
        whole = self.splice(node, [(left, self.expr(left)), (right, self.expr(right))])
        pointer = left.type.get_canonical().kind == T.POINTER
        if operator not in ASSIGNMENT or left.type.get_canonical().kind not in INTEGERS | {T.POINTER}:
            return whole
        if pointer and operator not in ("+=", "-="):
            return whole
        start, end = self.range(node)
        at = self.range(left)[1] - start
        text = self.text(node)
        other = text[:at] + text[at:].replace(operator, ASSIGNMENT[operator], 1)
        mutant = self.add(node, text, other)
        return f"(ST_MUTANT({mutant}, 1) ? ({other}) : ({whole}))"

    # ---- conditions

    def condition(self, node, allow):
        """A truth value; allow: may it become true (T), false (F), as a whole?"""
        node = self.unwrap(node)
        text = self.text(node)
        if self.opaque(node):
            return self.expr(node) if text in ("true", "false") else self.leaf(node, f"!!({text})", allow)
        if node.kind == K.PAREN_EXPR:
            child = list(node.get_children())[0]
            return self.splice(node, [(child, self.condition(child, allow))])
        if node.kind == K.UNARY_OPERATOR and text[0] == "!":
            child = list(node.get_children())[0]
            return f"!({self.condition(child, allow.translate(str.maketrans('TF', 'FT')))})"
        if node.kind == K.BINARY_OPERATOR:
            operator = self.operator(node)
            left, right = list(node.get_children())
            if operator in ("&&", "||"):
                parts, whole = ("T", "F") if operator == "&&" else ("F", "T")
                inner = f"({self.condition(left, parts)}) {operator} ({self.condition(right, parts)})"
                return self.leaf(node, inner, whole if whole in allow else "")
            if operator in BOUNDARY:
                return self.relation(node, left, operator, right, allow)
            if operator in EQUAL:
                return self.leaf(node, f"({self.compared(left, False, False)}) {operator} "
                                       f"({self.compared(right, False, False)})", allow)
        if node.kind == K.INTEGER_LITERAL:
            return text
        if node.kind == K.CALL_EXPR and node.spelling in self.fixed:
            allow = allow.replace(self.fixed[node.spelling][0].upper(), "")
        return self.leaf(node, f"!!({self.expr(node)})", allow)

    def choices(self, node, allow):
        text, out = self.text(node), ""
        if "T" in allow:
            out += f"ST_MUTANT({self.add(node, text, 'true')}, !c_) ? 1 : "
        if "F" in allow:
            out += f"ST_MUTANT({self.add(node, text, 'false')}, c_) ? 0 : "
        return out

    def leaf(self, node, inner, allow):
        if allow == "":
            return f"({inner})"
        return f"({{ int c_ = {inner}; {self.choices(node, allow)}c_; }})"

    def compared(self, node, less, more):
        """An operand of a comparison: of a number, only what neither another bound nor true or false covers."""
        inner = self.unwrap(node)
        if inner.kind != K.INTEGER_LITERAL or self.opaque(inner):
            return self.expr(node)
        text = self.text(inner)
        if less and not re.fullmatch(r"0[uUlL]*", text):
            return f"({text} - ST_MUTANT({self.add(inner, text, text + ' - 1')}, 1))"
        if more:
            return f"({text} + ST_MUTANT({self.add(inner, text, text + ' + 1')}, 1))"
        return text

    def relation(self, node, left, operator, right, allow):
        other = BOUNDARY[operator]
        mutant = None
        if not (operator in "><=" and "T" in allow and re.fullmatch(r"0[uUlL]*", self.text(right)) and
                self.unsigned(left)):
            mutant = self.add(node, self.text(node), f"{self.text(left)} {other} {self.text(right)}")
        first = self.compared(left, operator in ("<=", ">"), operator in ("<", ">="))
        second = self.compared(right, operator in ("<", ">="), operator in ("<=", ">"))
        return (f"({{ __auto_type l_ = ({first})+0; __auto_type r_ = ({second})+0; "
                f"int c_ = l_ {operator} r_; " +
                (f"ST_MUTANT({mutant}, c_ != (l_ {other} r_)) ? l_ {other} r_ : " if mutant else "") +
                f"{self.choices(node, allow)}c_; }})")

    @staticmethod
    def unsigned(node):
        return node.type.get_canonical().kind in (T.UCHAR, T.USHORT, T.UINT, T.ULONG, T.ULONGLONG)

    # ---- statements

    def stmt(self, node):
        text = self.text(node)
        if self.opaque(node):
            if node.kind == K.DECL_STMT:
                return text
            return f"if (ST_MUTANT({self.add(node, text, 'nothing')}, 1)) ; else {text}"
        method = getattr(self, "stmt_" + node.kind.name.lower(), None)
        if method:
            return method(node)
        if node.kind.is_expression():
            if text.startswith("(void)") and not text.endswith(")"):
                return text
            mutant = self.add(node, text, "nothing")
            return f"(ST_MUTANT({mutant}, 1) ? (void)0 : (void)({self.expr(node)}))"
        return text

    def either(self, node):
        """The last child of a case or a label, the bodies of an if or a loop."""
        return self.stmt(self.unwrap(node))

    def stmt_compound_stmt(self, node):
        return self.splice(node, [(c, self.either(c)) for c in node.get_children()])

    def stmt_case_stmt(self, node):
        last = list(node.get_children())[-1]
        return self.splice(node, [(last, self.either(last))])

    stmt_default_stmt = stmt_label_stmt = stmt_case_stmt

    def stmt_if_stmt(self, node):
        condition, *bodies = node.get_children()
        # `if (result != OK) return result;`
        guard = re.fullmatch(r"(\w+) != \w+", self.text(condition))
        for body in bodies[:1]:
            last = list(body.get_children())[-1:] if body.kind == K.COMPOUND_STMT else [body]
            if guard and last and last[0].kind == K.RETURN_STMT and self.text(last[0]) == f"return {guard.group(1)}":
                self.other_than_first |= {self.range(c)[0] for c in last[0].get_children()}
        return self.splice(node, [(condition, self.condition(condition, "TF"))] +
                           [(b, self.either(b)) for b in bodies])

    def stmt_while_stmt(self, node):
        condition, body = node.get_children()
        return self.splice(node, [(condition, self.condition(condition, "F")), (body, self.either(body))])

    def stmt_do_stmt(self, node):
        body, condition = node.get_children()
        return self.splice(node, [(condition, self.condition(condition, "F")), (body, self.either(body))])

    def semicolons(self, node):
        """Where the two of a for statement stand."""
        start, end = self.range(node)
        found, at = [], start
        while at < end and len(found) < 2:
            skip = re.compile(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'|/\*.*?\*/', re.S).match(self.source, at)
            if skip:
                at = skip.end()
                continue
            if self.source[at] == ";":
                found.append(at)
            at += 1
        return found

    def stmt_for_stmt(self, node):
        *head, body = node.get_children()
        first, second = self.semicolons(node)
        parts = [(body, self.either(body))]
        for child in head:
            start = self.range(child)[0]
            if start < first:
                parts.append((child, self.stmt_decl_stmt(child) if child.kind == K.DECL_STMT else self.expr(child)))
            elif start < second:
                parts.append((child, self.condition(child, "F")))
            else:
                parts.append((child, self.step(child)))
        return self.splice(node, parts)

    def step(self, node):
        """Of what a loop does at its end only the numbers change: the rest would never end."""
        node = self.unwrap(node)
        if self.opaque(node):
            return self.text(node)
        if node.kind == K.COMPOUND_ASSIGNMENT_OPERATOR:
            right = list(node.get_children())[1]
            return self.splice(node, [(right, self.expr(right))])
        if node.kind == K.BINARY_OPERATOR and self.operator(node) == ",":
            return self.splice(node, [(c, self.step(c)) for c in node.get_children()])
        if node.kind == K.BINARY_OPERATOR:
            return self.expr(node)
        return self.text(node)

    def cases(self, node, found):
        for child in node.get_children():
            if child.kind == K.CASE_STMT:
                found.append(list(child.get_children())[0])
            if child.kind in (K.CASE_STMT, K.DEFAULT_STMT, K.COMPOUND_STMT, K.LABEL_STMT):
                self.cases(child, found)
        return found

    def stmt_switch_stmt(self, node):
        value, body = node.get_children()
        start, end = self.range(node)
        last = re.search(r"break;[\s}]*\}$", self.source[start:end])
        if last:
            self.last_break.add(start + last.start())
        choices = ""
        for label in self.cases(body, []):
            text = self.text(label)
            mutant = self.add(label, "case " + text, "never")
            choices += f"ST_MUTANT({mutant}, s_ == ({text})) ? 0x7EAD : "
        inner = f"({{ __auto_type s_ = ({self.expr(value)})+0; {choices}s_; }})"
        return self.splice(node, [(value, inner), (body, self.either(body))])

    def jump(self, node):
        if self.range(node)[0] in self.last_break:
            return self.text(node)
        return f"if (ST_MUTANT({self.add(node, self.text(node), 'nothing')}, 1)) ; else {self.text(node)}"

    stmt_break_stmt = stmt_continue_stmt = stmt_goto_stmt = jump

    def stmt_decl_stmt(self, node):
        parts = []
        for variable in node.get_children():
            if variable.kind != K.VAR_DECL or variable.storage_class.name == "STATIC":
                continue
            children = [c for c in variable.get_children() if c.kind.is_expression()]
            if not children or self.opaque(variable):
                continue
            init = self.unwrap(children[-1])
            before = self.source[:self.range(init)[0]].rstrip()
            if before.endswith("="):
                parts.append((init, self.expr(init)))
        return self.splice(node, parts)

    def stmt_return_stmt(self, node):
        children = list(node.get_children())
        if not children:
            return self.jump(node)
        return self.splice(node, [(children[0], self.returned(self.unwrap(children[0])))])

    def constant(self, node):
        """A number or an enum's constant, or None."""
        text = self.text(node)
        if node.kind == K.INTEGER_LITERAL and text.isdigit():
            return int(text)
        if node.kind == K.CHARACTER_LITERAL:
            return 0 if text == "'\\0'" else 1
        if node.kind == K.DECL_REF_EXPR and node.referenced is not None and \
                node.referenced.kind == K.ENUM_CONSTANT_DECL:
            return node.referenced.enum_value
        return None

    def returned(self, node):
        text = self.text(node)
        if self.result == T.BOOL:
            return self.condition(node, "TF")
        if self.result == T.POINTER:
            if text in ("NULL", "0"):
                return text
            mutant = self.add(node, f"return {text}", "return NULL")
            return f"({{ __auto_type v_ = ({self.expr(node)})+0; ST_MUTANT({mutant}, v_ != 0) ? (__typeof__(v_))0 : v_; }})"
        if self.result not in INTEGERS:
            return self.expr(node)
        value = self.constant(node)
        first, second = self.values
        if value is not None:
            other = second if value == first else first
            return f"(ST_MUTANT({self.add(node, f'return {text}', f'return {other}')}, 1) ? {other} : {text})"
        if node.kind == K.CONDITIONAL_OPERATOR:
            arms = [self.constant(self.unwrap(c)) for c in list(node.get_children())[1:]]
            if None not in arms and first in arms:
                return self.expr(node)  # its condition, true or false, is the same
        none = self.add(node, f"return {text}", f"return {first}")
        choices = f"ST_MUTANT({none}, v_ != {first}) ? {first} : "
        if self.range(node)[0] not in self.other_than_first:
            one = self.add(node, f"return {text}", f"return {second} instead of {first}")
            choices += f"ST_MUTANT({one}, v_ == {first}) ? {second} : "
        return f"({{ __auto_type v_ = ({self.expr(node)})+0; {choices}v_; }})"

    def enumerated(self, kind):
        """The constants of an enum: what a function that returns it may return."""
        values = [c.enum_value for c in kind.get_declaration().get_children() if c.kind == K.ENUM_CONSTANT_DECL]
        # Where 0 is a failure that comes first, or never returned, success is 1.
        return (1, 2) if values[:2] == [0, 1] and len(values) > 2 and self.fails_first(kind) else (0, 1)

    def fails_first(self, kind):
        names = [c.spelling for c in kind.get_declaration().get_children() if c.kind == K.ENUM_CONSTANT_DECL]
        return names[1].endswith("_OK")

    # ---- the file

    def run(self):
        parts, bodies = [], []
        for node in self.unit.cursor.get_children():
            if node.kind == K.FUNCTION_DECL and node.is_definition() and self.here(node) and not self.opaque(node):
                self.function = node.spelling
                self.result = node.result_type.get_canonical().kind
                self.values = (0, 1)
                if self.result == T.ENUM:
                    self.values = self.enumerated(node.result_type.get_canonical())
                body = list(node.get_children())[-1]
                bodies.append((self.range(body), self.stmt_compound_stmt(body)))
        out, at = [], 0
        for (start, end), text in bodies:
            out += [self.source[at:start], text]
            at = end
        out.append(self.source[at:])
        # What occurs more than once in a function has a number.
        times = {}
        for mutant in self.mutants:
            key = f"{mutant['function']}: {mutant['change']} in {mutant['code']}"
            times[key] = times.get(key, 0) + 1
            mutant["key"] = key if times[key] == 1 else f"{key} #{times[key]}"
        prologue = PROLOGUE % {"size": len(self.mutants) + 1, "path": self.path}
        return prologue + "".join(out)


def main():
    source, out, *flags = sys.argv[1:]
    mutator = Mutator(source, flags)
    text = mutator.run()
    with open(out, "wb") as file:
        file.write(text.encode("latin-1"))
    with open(out + ".json", "w", encoding="utf-8") as file:
        json.dump(mutator.mutants, file, indent=0)


main()
