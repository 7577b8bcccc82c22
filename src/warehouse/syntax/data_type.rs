//! Types in casts: those that the engine keeps whole. A length or precision that it would drop is refused.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, StructField, TimezoneInfo};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Refusals;

pub(super) fn data_type(kind: &DataType, near: Span, out: &mut Refusals<'_>) {
    let Some(help) = refused(kind) else {
        match kind {
            DataType::Array(ArrayElemTypeDef::AngleBracket(inner) | ArrayElemTypeDef::SquareBracket(inner, _)) => {
                data_type(inner, near, out);
            }
            DataType::Struct(fields, _) => {
                for StructField { field_name: _, field_type, options: _ } in fields {
                    data_type(field_type, near, out);
                }
            }
            _ => {}
        }
        return;
    };
    let written = kind.to_string().to_lowercase();
    let word = written.split(|character: char| !character.is_alphanumeric() && character != '_').next();
    let message = format!("the type `{written}` is not carried out here");
    out.refuse_as(word.unwrap_or_default(), near, &message, &help);
}

/// What to write in place of a type; `None` for one that is carried out.
fn refused(kind: &DataType) -> Option<String> {
    use DataType as Type;
    let number = |info: &ExactNumberInfo| match info {
        ExactNumberInfo::None => "decimal(38, 9)".to_owned(),
        ExactNumberInfo::Precision(precision) => format!("decimal({precision})"),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => format!("decimal({precision}, {scale})"),
    };
    let instead = match kind {
        Type::Boolean | Type::Bool | Type::Real | Type::Float4 | Type::Float8 | Type::DoublePrecision => return None,
        Type::TinyInt(None) | Type::SmallInt(None) | Type::Int2(None) | Type::Int(None) | Type::Integer(None) => {
            return None;
        }
        Type::Int4(None) | Type::BigInt(None) | Type::Int8(None) | Type::TinyIntUnsigned(None) => return None,
        Type::SmallIntUnsigned(None) | Type::Int2Unsigned(None) | Type::IntUnsigned(None) => return None,
        Type::IntegerUnsigned(None) | Type::Int4Unsigned(None) | Type::BigIntUnsigned(None) => return None,
        Type::Int8Unsigned(None) | Type::Varchar(None) | Type::Text | Type::String(None) | Type::Date => return None,
        Type::Float(ExactNumberInfo::None | ExactNumberInfo::Precision(_)) | Type::Double(ExactNumberInfo::None) => {
            return None;
        }
        Type::Numeric(_) | Type::Decimal(_) | Type::Bytea => return None,
        Type::Interval { fields: None, precision: None } => return None,
        Type::Timestamp(None | Some(0 | 3 | 6 | 9), _) => return None,
        Type::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => return None,
        Type::Struct(_, _) => return None,
        Type::Array(ArrayElemTypeDef::AngleBracket(_) | ArrayElemTypeDef::SquareBracket(_, _)) => return None,
        Type::Varchar(Some(length)) | Type::Character(Some(length)) | Type::Char(Some(length)) => {
            return Some(format!(
                "write `left(cast(x as varchar), {length})` if longer texts are to be cut, else `varchar`"
            ));
        }
        Type::String(Some(_)) | Type::Char(None) | Type::Character(None) | Type::CharacterVarying(_) => "varchar",
        Type::CharVarying(_) | Type::Nvarchar(_) | Type::Clob(_) | Type::Uuid => "varchar",
        Type::TinyText | Type::MediumText | Type::LongText | Type::FixedString(_) => "varchar",
        Type::Dec(info) | Type::BigNumeric(info) | Type::BigDecimal(info) => &number(info),
        Type::Int64 | Type::Int(_) | Type::Integer(_) | Type::BigInt(_) | Type::Signed | Type::SignedInteger => {
            "bigint"
        }
        Type::HugeInt | Type::Int128 | Type::UInt128 => "decimal(38, 0)",
        Type::Int32 | Type::MediumInt(_) => "int",
        Type::Int16 | Type::SmallInt(_) => "smallint",
        Type::UInt64 | Type::UBigInt | Type::Unsigned | Type::UnsignedInteger => "bigint unsigned",
        Type::Float64 | Type::Float(_) | Type::Double(_) => "double",
        Type::Float32 => "real",
        Type::Date32 => "date",
        Type::Datetime(_) | Type::TimestampNtz(_) | Type::Timestamp(_, _) | Type::Datetime64(_, _) => "timestamp",
        Type::Bytes(_) | Type::Binary(_) | Type::Varbinary(_) | Type::Blob(_) => "bytea",
        Type::JSON | Type::JSONB => return Some(JSON_HELP.to_owned()),
        Type::Custom(name, parts) if !parts.is_empty() && name.to_string().eq_ignore_ascii_case("number") => {
            &format!("decimal({})", parts.join(", "))
        }
        Type::Custom(name, _) => match name.to_string().to_lowercase().as_str() {
            "variant" | "object" => return Some(JSON_HELP.to_owned()),
            "number" => "decimal(38, 9)",
            "timestamp_ntz" | "timestamp_ltz" | "timestamp_tz" | "timestamptz" => "timestamptz",
            "utf8" => "varchar",
            _ => return Some(TYPES_HELP.to_owned()),
        },
        _ => return Some(TYPES_HELP.to_owned()),
    };
    Some(format!("write `{instead}`"))
}

const JSON_HELP: &str = "leave the cast out: text that holds JSON is read with `json ->> 'field'`";
const TYPES_HELP: &str =
    "write one of boolean, int, bigint, double, decimal(p, s), varchar, date, timestamp, timestamptz, interval";
