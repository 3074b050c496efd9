"""expressions.py - for mutate.py: the mutants of expressions and of conditions, and how their text is put
together. An operand is evaluated once, in a statement expression, whichever mutant is chosen.
"""
import glob
import os
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

class Expressions:
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
        self.constants = {c.spelling: c.enum_value for e in self.unit.cursor.get_children() if e.kind == K.ENUM_DECL
                          for c in e.get_children() if c.kind == K.ENUM_CONSTANT_DECL}
        self.failing = self.failing_functions()

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
                  "change": f"{shown(before)} -> {' '.join(after.split())}"}
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
        """{function: "true" or "false", or a constant}: those that always return the same, as what notes a failure does."""
        fixed, before = self.fixed_elsewhere(), None
        functions = [n for n in self.unit.cursor.get_children()
                     if n.kind == K.FUNCTION_DECL and n.is_definition() and self.here(n)]
        while before != len(fixed):
            before = len(fixed)
            for function in functions:
                results = {fixed.get(r.spelling, "?") if r.kind == K.CALL_EXPR else self.text(r)
                           for r in self.returns(function)}
                if len(results) == 1 and re.fullmatch(r"true|false|[A-Z][A-Z0-9_]+", min(results)):
                    fixed[function.spelling] = results.pop()
        return fixed

    def failing_functions(self):
        """Names of functions that never return success, as those that write an error."""
        failing, before = {"st_db_fail", "explain"}, 0
        functions = [n for n in self.unit.cursor.get_children() if n.kind == K.FUNCTION_DECL and n.is_definition() and
                     self.here(n) and n.result_type.get_canonical().kind == T.ENUM]
        while before != len(failing):
            before = len(failing)
            for function in functions:
                results = list(self.returns(function))
                if results and all(r.spelling in failing if r.kind == K.CALL_EXPR else
                                   re.fullmatch(r"ST_\w+(?<!_OK)", self.text(r)) for r in results):
                    failing.add(function.spelling)
        return failing

    def fixed_elsewhere(self):
        """The same of the functions of other files of the folder, from their text."""
        fixed, found = {}, []
        for path in glob.glob(os.path.join(os.path.dirname(self.path), "*.c")):
            if path != self.path:
                with open(path, encoding="latin-1") as file:
                    found += re.findall(r"^bool (\w+)\([^;{]*\) \{\n(.*?)^\}", file.read(), re.M | re.S)
        for _ in range(3):  # one may return what another does
            for name, body in found:
                results = {fixed.get(r.split("(")[0], r) for r in re.findall(r"\breturn ([^;]+);", body)}
                if results in ({"true"}, {"false"}):
                    fixed[name] = results.pop()
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
        if self.text(children[0]).startswith("st_impossible("):
            return "(" + self.splice(node, [(children[2], self.expr(children[2]))]) + ")"
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
        if text.startswith("st_impossible("):  # never true, and asserted
            return f"!!({text})"
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
            allow = allow.replace({"true": "T", "false": "F"}.get(self.fixed[node.spelling], "-"), "")
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
