module subtoken

go 1.19
