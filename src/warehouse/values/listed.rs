//! The list of people who must not be mailed, in SQL: `addresses_in(text)` and `listed_id(text)`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, ListBuilder, StringArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::model::address_list;

/// The functions for the warehouse.
pub(in crate::warehouse) fn functions() -> [Arc<ScalarUDF>; 2] {
    [Arc::new(ScalarUDF::from(AddressesIn::new())), Arc::new(ScalarUDF::from(ListedId::new()))]
}

/// Every address that a text holds, as addresses are compared; none where any part of it is no address.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AddressesIn {
    signature: Signature,
}

impl AddressesIn {
    fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for AddressesIn {
    fn name(&self) -> &'static str {
        "addresses_in"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Utf8, true))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for text in array[0].as_string::<i32>() {
            for address in address_list::addresses_in(text.unwrap_or_default()).unwrap_or_default() {
                lists.values().append_value(address);
            }
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
    }
}

/// An id as the list compares it; null for a blank.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListedId {
    signature: Signature,
}

impl ListedId {
    fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ListedId {
    fn name(&self) -> &'static str {
        "listed_id"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = ColumnarValue::values_to_arrays(&arguments.args)?;
        let ids = array[0].as_string::<i32>();
        let listed: StringArray = ids.iter().map(|id| address_list::listed_id(id?)).collect();
        Ok(ColumnarValue::Array(Arc::new(listed) as ArrayRef))
    }
}
