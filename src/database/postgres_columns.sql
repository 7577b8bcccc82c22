select
    attribute.attname::text as name,
    coalesce(base.typname, type.typname)::text as type,
    case when base.oid is null then attribute.atttypmod else type.typtypmod end as modifier,
    attribute.attnotnull as never_null
from pg_attribute as attribute
join pg_type as type on type.oid = attribute.atttypid
left join pg_type as base on base.oid = type.typbasetype and type.typtype = 'd'
where attribute.attrelid = to_regclass($1) and attribute.attnum > 0 and not attribute.attisdropped
order by attribute.attnum
