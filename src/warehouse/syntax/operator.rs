//! Operators: those that the engine carries out in the sense in which they are written.

use datafusion::sql::sqlparser::ast::{BinaryOperator, UnaryOperator};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Refusals;

pub(super) fn binary(operator: &BinaryOperator, near: Span, out: &mut Refusals<'_>) {
    use BinaryOperator as Op;
    let help = match operator {
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::StringConcat => return,
        Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Spaceship | Op::Eq | Op::NotEq | Op::And | Op::Or => return,
        Op::BitwiseOr | Op::BitwiseAnd | Op::PGBitwiseShiftLeft | Op::PGBitwiseShiftRight => return,
        Op::PGRegexMatch | Op::PGRegexIMatch | Op::PGRegexNotMatch | Op::PGRegexNotIMatch => return,
        Op::PGLikeMatch | Op::PGILikeMatch | Op::PGNotLikeMatch | Op::PGNotILikeMatch => return,
        Op::Arrow | Op::LongArrow | Op::HashArrow | Op::HashLongArrow | Op::AtArrow | Op::ArrowAt => return,
        Op::Xor => "write `<>` between two conditions",
        Op::BitwiseXor | Op::PGExp => "write `power(a, b)`",
        Op::DuckIntegerDivide | Op::MyIntegerDivide => "write `a / b`: whole numbers divide to a whole number",
        Op::PGStartsWith => "write `starts_with(a, b)`",
        Op::PGOverlap => "write `array_has_any(a, b)`",
        Op::Match | Op::Regexp => "write `regexp_like(text, pattern)`",
        Op::Question | Op::QuestionAnd | Op::QuestionPipe => "write `json_contains(json, 'key')`",
        Op::AtAt | Op::AtQuestion | Op::HashMinus => "read fields with `json ->> 'field'`",
        _ => "see the operators in the reference of the engine",
    };
    out.refuse(&operator.to_string(), near, help);
}

pub(super) fn unary(operator: UnaryOperator, near: Span, out: &mut Refusals<'_>) {
    let help = match operator {
        UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not => return,
        UnaryOperator::BangNot => "write `not`",
        UnaryOperator::PGAbs => "write `abs(x)`",
        UnaryOperator::PGSquareRoot => "write `sqrt(x)`",
        UnaryOperator::PGCubeRoot => "write `cbrt(x)`",
        UnaryOperator::PGPrefixFactorial | UnaryOperator::PGPostfixFactorial => "write `factorial(x)`",
        _ => "write it with a function",
    };
    out.refuse(&operator.to_string(), near, help);
}
