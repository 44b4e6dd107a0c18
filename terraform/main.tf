# Ferry's package (docs/release.md), put into a bucket and deployed. Its parameters are the template's.
terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}

variable "package" {
  description = "Path of the package without its ending: PACKAGE.zip and PACKAGE.yaml lie side by side."
  type        = string
}

variable "bucket" {
  description = "S3 bucket in the region of the provider, for code and template."
  type        = string
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "ferry"
}

variable "parameters" {
  description = "Parameters of the template, by their names (docs/configuration.md). Lists are texts with commas."
  type        = map(string)
}

data "aws_s3_bucket" "package" {
  bucket = var.bucket
}

# Keys that change with what lies there: CloudFormation looks at nothing else.
resource "aws_s3_object" "part" {
  for_each = toset(["zip", "yaml"])
  bucket   = var.bucket
  key      = "ferry/${filesha256("${var.package}.${each.key}")}.${each.key}"
  source   = "${var.package}.${each.key}"
}

resource "aws_cloudformation_stack" "ferry" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.package.bucket_regional_domain_name}/${aws_s3_object.part["yaml"].key}"
  parameters   = merge(var.parameters, { CodeBucket = var.bucket, CodeKey = aws_s3_object.part["zip"].key })
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
}

output "outputs" {
  description = "The stack's outputs by their names, such as CheckAndStoreCredentials, which fills the secret."
  value       = aws_cloudformation_stack.ferry.outputs
}
