{# Targets are in whole money, receipts in minor units: how many of those one is. #}
{% macro minor_units(currency) -%}
    case
        when {{ currency }} in (
            'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI',
            'VND', 'VUV', 'XAF', 'XOF', 'XPF'
        ) then 1
        when {{ currency }} in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 1000
        else 100
    end
{%- endmacro %}
