{# Schemas are named as models say, without the target's in front. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name if custom_schema_name else target.schema }}
{%- endmacro %}

{# One record an event: topics hold repeats of the same event_id, which are equal; the first that arrived stays. #}
{% macro deduplicated(table) -%}
select * exclude (_row) from (
  select *, row_number() over (partition by tenant_id, event_id order by _timestamp, _topic, _partition, _offset) as _row
  from {{ source('raw', table) }}
) where _row = 1
{%- endmacro %}
